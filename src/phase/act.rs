//! One act of a command on the machine or the API, as a dry run foresees it and events report it.

use std::path::Path;

use serde_json::{Value, json};

/// What is done. Its words are part of the interface: docs/dry-run.md has the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A check of the machine failed, and the command ends.
    Fail,
    /// A file is written.
    Write,
    /// A file of an earlier run is replaced.
    Replace,
    /// A file is there already and is the same to the byte.
    Keep,
    /// A file differs from that of the assets, and stays as it is.
    Leave,
    /// A file or folder is removed.
    Remove,
    /// An object is created.
    Create,
    /// An existing object is changed.
    Change,
    /// An object is there already, as its manifest says.
    Unchanged,
    /// A foreign file is in the way, or the API refuses an object.
    Refuse,
    /// The node gets its labels and taint.
    Label,
    /// New connections are steered to an apiserver.
    Steer,
    /// A pod's status is set to not Ready until kubelet reports again.
    MarkUnready,
    /// A pod is deleted.
    Delete,
    /// A lease is released on behalf of a process that has ended.
    Release,
    /// Kubelet is restarted.
    Restart,
}

impl Verb {
    /// Its name in events and in the report of a dry run.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Write => "write",
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Leave => "leave",
            Self::Remove => "remove",
            Self::Create => "create",
            Self::Change => "change",
            Self::Unchanged => "unchanged",
            Self::Refuse => "refuse",
            Self::Label => "label",
            Self::Steer => "steer",
            Self::MarkUnready => "mark-unready",
            Self::Delete => "delete",
            Self::Release => "release",
            Self::Restart => "restart",
        }
    }
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What is done.
    pub verb: Verb,
    /// What it is done to: a check, a path or `Kind namespace/name`.
    pub what: String,
    /// The manifest of an object.
    pub file: Option<String>,
    /// Why a check fails, why something is refused, or with which values.
    pub reason: Option<String>,
    /// How an object would change, as a unified diff.
    pub diff: Option<String>,
}

impl Act {
    /// `verb` is done to `what`.
    pub fn new(verb: Verb, what: impl Into<String>) -> Self {
        Self { verb, what: what.into(), file: None, reason: None, diff: None }
    }

    /// `verb` is done to the file or folder at `path`.
    pub fn file(verb: Verb, path: &Path) -> Self {
        Self::new(verb, path.display().to_string())
    }

    /// The same, with a reason.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// For a person: one line, and a diff below it.
    pub fn to_text(&self) -> String {
        let Self { verb, what, file, reason, diff } = self;
        let file = file.as_ref().map(|file| format!("  ({file})")).unwrap_or_default();
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let diff: String =
            diff.iter().flat_map(|diff| diff.lines()).map(|line| format!("        {line}\n")).collect();
        format!("   {:9} {what}{file}{reason}\n{diff}", verb.name())
    }

    /// For a program; docs/dry-run.md describes it.
    pub fn to_json(&self) -> Value {
        let Self { verb, what, file, reason, diff } = self;
        let mut fields = json!({"act": verb.name(), "what": what});
        for (name, value) in [("file", file), ("reason", reason), ("diff", diff)] {
            if let Some(value) = value {
                fields[name] = json!(value);
            }
        }
        fields
    }
}
