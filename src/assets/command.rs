//! Command lines in pods: which program a container runs, with which flags. Pods are untyped, as files hold them.

use serde_json::Value;

/// Every word of every container's command line. `pod` has a `spec`: a Pod, or the template of a workload.
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

/// Whether a command line runs `program`, directly or as the argument of one that holds several: hyperkube called them both
/// `apiserver` and `kube-apiserver`. Until v0.9 an apiserver was started by flock, which is looked through.
pub fn runs<'a>(words: impl IntoIterator<Item = &'a str>, program: &str) -> bool {
    let short = program.strip_prefix("kube-").unwrap_or(program);
    let mut words = words.into_iter().peekable();
    if words.next_if(|word| name(word) == "flock").is_some() {
        while words.next_if(|word| word.starts_with('-')).is_some() {}
        words.next(); // its file
    }
    let mut programs = words.take(2).take_while(|word| !word.starts_with('-')).map(name);
    programs.any(|word| word == program || word == short)
}

/// A program without the folder it is in.
fn name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether a flag that may stand alone is on.
pub fn is_on<'a>(words: impl IntoIterator<Item = &'a str>, name: &str) -> bool {
    let value = |word: &'a str| word.trim_start_matches('-').strip_prefix(name);
    let mut values = words.into_iter().filter(|word| word.starts_with('-')).filter_map(value);
    values.any(|value| matches!(value, "" | "=true" | "=True" | "=TRUE" | "=t" | "=T" | "=1"))
}

/// The value of `--name=value` or `--name value`.
pub fn flag<'a>(words: impl IntoIterator<Item = &'a str>, name: &str) -> Option<String> {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-').and_then(|word| word.trim_start_matches('-').strip_prefix(name)) {
            Some("") => return words.next().map(str::to_owned),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
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
    fn a_program_is_known_by_its_name_and_not_by_its_flags() {
        assert!(runs(["/hyperkube", "apiserver"], "kube-apiserver"));
        assert!(runs(["/usr/local/bin/kube-apiserver", "--a=b"], "kube-apiserver"));
        assert!(!runs(["kube-scheduler", "--master=apiserver"], "kube-apiserver"));
        assert!(!runs(["sh", "-c", "etcd"], "etcd"));
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
