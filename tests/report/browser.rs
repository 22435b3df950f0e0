//! A headless Chromium, driven over a pipe with the DevTools protocol, as far as looking at a page
//! needs it.
//!
//! No driver, no port, no download: Debian's `chromium`, its profile in a folder that goes with the
//! test.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The protocol goes over descriptors 3 and 4, and messages end with a zero byte.
const START: &str = "exec chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe \
    --user-data-dir=\"$1\" 3<&0 4>&1 </dev/null >/dev/null 2>\"$1.log\"";

/// A browser with one tab. Ends when dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What the tab fetched.
    pub fetched: Vec<String>,
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    pub width: u32,
    pub scheme: &'static str,
    pub scripts: bool,
}

impl Browser {
    pub fn open() -> Self {
        let profile = TempDir::new().unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", START, "chromium"]).arg(profile.path().join("profile"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let fetched = Vec::new();
        let mut browser = Self { child, to, from, session: None, last: 0, fetched, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", json!({}));
        browser.call("Network.enable", json!({}));
        browser
    }

    /// Loads the page at `path` as `screen` shows it.
    pub fn load(&mut self, path: &Path, screen: Screen) {
        let Screen { width, scheme, scripts } = screen;
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !scripts}));
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
        self.fetched.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        while self.read()["method"] != "Page.loadEventFired" {}
    }

    /// What `expression` is on the page. The protocol's own evaluation works where the page's
    /// scripts do not.
    pub fn ask(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// A picture of the whole page.
    pub fn picture(&mut self, to: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
        std::fs::write(to, STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "chromium ended; is the Debian package installed (make browser)?");
        let message: Value = serde_json::from_slice(&message).unwrap();
        if message["method"] == "Network.requestWillBeSent" {
            self.fetched.extend(message["params"]["request"]["url"].as_str().map(str::to_owned));
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended by itself
        self.child.wait().ok();
    }
}
