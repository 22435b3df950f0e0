//! Command lines of Kubernetes' components: which program a container runs, with which flags. This
//! is the only reader of them.
//!
//! Flags are read as the components read them (pflag; etcd: Go's own): of a flag that stands twice
//! the last one counts, `--name value` is as good as `--name=value`, a switch may stand alone but
//! never takes the next word, and Kubernetes reads `_` in a name as `-`.

use serde_json::Value;

/// Every word of every container's command line. `pod` has a `spec`: a Pod, or the template of a
/// workload.
pub fn words(pod: &Value) -> impl Iterator<Item = &str> {
    containers(pod).flat_map(container_words)
}

/// The containers that go on running.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

/// Every word of one container's command line.
pub fn container_words(container: &Value) -> impl Iterator<Item = &str> {
    let lists = [&container["command"], &container["args"]];
    lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str)
}

/// Whether a command line runs `program`, directly or as the first argument of a program that holds
/// several. hyperkube knew its programs by short names too, such as `apiserver`. Until v0.9 an
/// apiserver was started by flock, which is looked through.
pub fn runs<'a>(words: impl IntoIterator<Item = &'a str>, program: &str) -> bool {
    let mut words = words.into_iter().peekable();
    if words.next_if(|word| name(word) == "flock").is_some() {
        while words.next_if(|word| word.starts_with('-')).is_some() {}
        words.next(); // its file
    }
    let mut words = words.take_while(|word| !word.starts_with('-')).map(name);
    let (Some(first), second) = (words.next(), words.next()) else { return false };
    let is_short = first == "hyperkube" && second.is_some() && second == program.strip_prefix("kube-");
    first == program || second == Some(program) || is_short
}

/// A program without the folder it is in.
fn name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Splits a word that gives a flag into its name and, after `=`, its value.
pub fn split(word: &str) -> Option<(&str, Option<&str>)> {
    let flag = word.strip_prefix('-')?;
    let flag = flag.strip_prefix('-').unwrap_or(flag);
    Some(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value))))
}

/// Whether `flag`, as a command line has it, is the flag `name`.
pub fn is_named(flag: &str, name: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    flag.bytes().map(dashed).eq(name.bytes())
}

/// Whether a switch is on; `None` if the command line does not say.
pub fn switch<'a>(words: impl IntoIterator<Item = &'a str>, name: &str) -> Option<bool> {
    let values = words.into_iter().filter_map(split).filter(|(flag, _)| is_named(flag, name));
    let (_, value) = values.last()?;
    Some(value.is_none_or(|value| matches!(value, "true" | "True" | "TRUE" | "t" | "T" | "1")))
}

/// Whether a switch that is off by default is on.
pub fn is_on<'a>(words: impl IntoIterator<Item = &'a str>, name: &str) -> bool {
    switch(words, name).unwrap_or(false)
}

/// The value of a flag.
pub fn flag<'a>(words: impl IntoIterator<Item = &'a str>, name: &str) -> Option<String> {
    let mut words = words.into_iter();
    let mut last = None;
    while let Some(word) = words.next() {
        match split(word) {
            Some((flag, Some(value))) if is_named(flag, name) => last = Some(value),
            Some((flag, None)) if is_named(flag, name) => last = words.next(),
            _ => {}
        }
    }
    last.map(str::to_owned)
}

/// Removes a flag that has a value wherever it stands in `words`.
pub fn remove_flag(words: &mut Vec<String>, name: &str) {
    let is_it = |word: &String| {
        split(word).filter(|(flag, _)| is_named(flag, name)).map(|(_, value)| value.is_some())
    };
    while let Some((at, has_value)) = words.iter().enumerate().find_map(|(at, word)| Some((at, is_it(word)?)))
    {
        let end = words.len().min(at + if has_value { 1 } else { 2 });
        words.drain(at..end);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flags_are_read_in_both_forms_and_past_nulls() {
        let command = ["/hyperkube", "apiserver", "--secure-port=443", "--bind-address", "0.0.0.0"];
        let pod = json!({"spec": {"containers": [{"command": command, "args": [null, "--v=2"]}]}});
        assert_eq!(flag(words(&pod), "secure-port").as_deref(), Some("443"));
        assert_eq!(flag(words(&pod), "bind-address").as_deref(), Some("0.0.0.0"));
        assert_eq!(flag(words(&pod), "v").as_deref(), Some("2"));
        assert_eq!(flag(words(&pod), "secure"), None);
    }

    #[test]
    fn of_a_flag_that_stands_twice_the_last_one_counts() {
        let words = ["kube-apiserver", "--secure-port=443", "--v", "2", "--secure-port", "6443", "--v=4"];
        assert_eq!(flag(words, "secure-port").as_deref(), Some("6443"));
        assert_eq!(flag(words, "v").as_deref(), Some("4"));
        assert_eq!(switch(["--share", "--share=false"], "share"), Some(false));
        assert_eq!(switch(["--share=false", "--share"], "share"), Some(true));
        assert_eq!(switch(["--shared"], "share"), None);
    }

    #[test]
    fn a_value_may_begin_with_a_dash_and_a_flag_without_one_has_none() {
        assert_eq!(flag(["--a", "-1", "--b"], "a").as_deref(), Some("-1"));
        assert_eq!(flag(["--a"], "a"), None);
    }

    #[test]
    fn underscores_in_a_name_are_dashes_and_in_a_value_they_stay() {
        assert_eq!(flag(["--cluster_dns=10.3.0.10"], "cluster-dns").as_deref(), Some("10.3.0.10"));
        assert_eq!(flag(["--pod_manifest-path", "/a_b"], "pod-manifest-path").as_deref(), Some("/a_b"));
        assert_eq!(switch(["--rotate_certificates=false"], "rotate-certificates"), Some(false));
        assert_eq!(flag(["--cluster_dns_=x", "--clusterdns=y"], "cluster-dns"), None);
        let mut words = ["--a_b", "1", "--c=2"].map(str::to_owned).to_vec();
        remove_flag(&mut words, "a-b");
        assert_eq!(words, ["--c=2"]);
    }

    #[test]
    fn a_flag_is_removed_in_every_form() {
        let words = ["kube-apiserver", "--a", "1", "--ab=2", "--a=3", "--c", "--a"];
        let mut words = words.map(str::to_owned).to_vec();
        remove_flag(&mut words, "a");
        assert_eq!(words, ["kube-apiserver", "--ab=2", "--c"]);
    }

    #[test]
    fn a_program_is_known_by_its_name_and_not_by_its_flags() {
        assert!(runs(["/hyperkube", "apiserver"], "kube-apiserver"));
        assert!(runs(["/usr/local/bin/kube-apiserver", "--a=b"], "kube-apiserver"));
        assert!(!runs(["kube-scheduler", "--master=apiserver"], "kube-apiserver"));
        assert!(!runs(["sh", "-c", "etcd"], "etcd"));
        assert!(!runs(["/scheduler", "--a"], "kube-scheduler"), "a short name is hyperkube's");
        assert!(!runs(["/hyperkube"], "etcd"));
    }

    #[test]
    fn a_program_is_known_behind_the_lock_that_old_assets_took_first() {
        let lock = "/var/lock/api-server.lock";
        assert!(runs(["/usr/bin/flock", lock, "/hyperkube", "apiserver", "--a"], "kube-apiserver"));
        let exclusive = ["/usr/bin/flock", "--exclusive", "--timeout=30", lock, "/hyperkube", "apiserver"];
        assert!(runs(exclusive, "kube-apiserver"));
        assert!(!runs(["flock", "apiserver", "/hyperkube", "scheduler"], "kube-apiserver"));
    }

    #[test]
    fn a_switch_is_on_alone_or_by_its_value_and_never_by_the_next_word() {
        for words in [["--share", "--x=y"], ["-share=true", "-"], ["--share=1", "--shared=false"]] {
            assert!(is_on(words, "share"), "{words:?}");
        }
        for words in [["--share=false", "--x"], ["--shared", "share"], ["--x", "true"]] {
            assert!(!is_on(words, "share"), "{words:?}");
        }
    }
}
