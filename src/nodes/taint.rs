//! Taints: what keeps pods off a machine that do not tolerate it.

use crate::values::mistakes::{Checked, fault};
use crate::values::scalar::{self, Named};

/// A taint, as kubectl writes it: `key=value:Effect` or `key:Effect`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: Effect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes'")]
pub enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl Named for Effect {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("NoSchedule", Self::NoSchedule),
        ("PreferNoSchedule", Self::PreferNoSchedule),
        ("NoExecute", Self::NoExecute),
    ];
}

impl Effect {
    /// Its name in Kubernetes.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

impl Taint {
    /// Reads one.
    pub fn read(text: &str) -> Checked<Self> {
        let Some((rest, effect)) = text.rsplit_once(':') else {
            return fault(
                "has no effect",
                format!("write {text}:NoSchedule, :PreferNoSchedule or :NoExecute"),
            );
        };
        let Some(effect) = Effect::from_word(effect) else {
            return fault(
                format!("has the unknown effect `{effect}`"),
                format!("use one of {}", Effect::words()),
            );
        };
        let (key, value) = scalar::label(rest).map_err(|mut wrong| {
            wrong.problem = wrong.problem.replace("in a label", "in a taint");
            wrong
        })?;
        Ok(Self { key, value, effect })
    }

    /// As kubectl writes it.
    pub fn text(&self) -> String {
        let Self { key, value, effect } = self;
        let equals = if value.is_empty() { "" } else { "=" };
        format!("{key}{equals}{value}:{}", effect.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_read_as_kubectl_writes_them() {
        for text in
            ["a:NoSchedule", "example.com/a=b:NoExecute", "node-role.kubernetes.io/x:PreferNoSchedule"]
        {
            assert_eq!(Taint::read(text).unwrap().text(), text);
        }
        for (bad, problem) in [
            ("a", "has no effect"),
            ("a=b", "has no effect"),
            ("a:noschedule", "unknown effect `noschedule`"),
            ("a:", "unknown effect ``"),
            ("a=b c:NoSchedule", "a value that Kubernetes refuses in a taint"),
            (":NoSchedule", "is not a Kubernetes key"),
            ("a/b/c:NoSchedule", "is not a Kubernetes key"),
        ] {
            let wrong = Taint::read(bad).unwrap_err();
            assert!(wrong.problem.contains(problem), "{bad}: {wrong:?}");
        }
    }
}
