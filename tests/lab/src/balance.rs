//! A load balancer outside of all machines, as clusters of several controllers have one. haproxy
//! asks every apiserver whether it is ready, and closes the connections to one that has not been
//! for a while, such as one whose machine has lost power. It knows only the address of a machine.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};

use crate::command::{run, wait_for};
use crate::error::{Error, Result};
use crate::files;
use crate::lab::Lab;
use crate::machine::Machine;

/// Serves until its standard input ends, which it does too when the test is killed.
const SCRIPT: &str = "haproxy -db -f \"$0\" >>\"$0.log\" 2>&1 & cat; kill $!";
const CONFIG: &str = "
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 5s
backend apiservers
  option redispatch 1
  option httpchk GET /readyz
  default-server check check-ssl verify none inter 500ms rise 1 fall 3 on-marked-down shutdown-sessions
";

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    child: Child,
}

impl Balancer {
    /// Listens at the lab's gateway, and sends connections to the same port of those of `machines`
    /// that are ready.
    pub(crate) fn start(lab: &Lab, port: u16, machines: &[Machine]) -> Result<Self> {
        let file = lab.folder().join("balancer.cfg");
        files::write(&file, config(lab.gateway(), port, machines).as_bytes(), 0o600)?;
        let mut command = lab.command_outside("sh")?;
        command.arg("-c").arg(SCRIPT).arg(&file).stdin(Stdio::piped()).stdout(Stdio::null());
        let started = command.spawn();
        let balancer =
            Self { child: started.map_err(|source| Error::Start { command: "haproxy".into(), source })? };
        let listens = || Ok(run(lab.command_outside("ss")?.arg("-Hltn"))?.contains(&format!(":{port} ")));
        let evidence = || format!("see {}.log", file.display());
        wait_for("the load balancer's first socket", 10, listens, evidence)?;
        Ok(balancer)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok(); // it has ended, or was ended from outside
    }
}

fn config(gateway: Ipv4Addr, port: u16, machines: &[Machine]) -> String {
    let mut text = CONFIG.to_owned();
    for machine in machines {
        let (name, ip) = (machine.name(), machine.ip());
        writeln!(text, "  server {name} {ip}:{port}").unwrap_or_default(); // writing to a String cannot fail
    }
    text + &format!("frontend api\n  bind {gateway}:{port}\n  default_backend apiservers\n")
}
