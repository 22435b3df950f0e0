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
/// `apiserver` and `kube-apiserver`.
pub fn runs<'a>(words: impl IntoIterator<Item = &'a str>, program: &str) -> bool {
    let short = program.strip_prefix("kube-").unwrap_or(program);
    let name = |word: &'a str| word.rsplit('/').next().unwrap_or(word);
    let mut programs = words.into_iter().take(2).take_while(|word| !word.starts_with('-')).map(name);
    programs.any(|word| word == program || word == short)
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
}
