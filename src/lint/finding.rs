//! What lint finds.

use std::fmt;

use serde_json::{Value, json};

use crate::assets::object::{Fault, Object, Why};

/// What a finding is about. Its names are part of the interface: docs/lint.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An API version that was removed.
    RemovedApi,
    /// An object that is larger than the API takes, or nearly.
    TooLarge,
    /// What `start` refuses for another reason.
    Refused,
    /// Templates that have not been rendered.
    Template,
    /// A kind that neither Kubernetes nor a file has.
    MissingDefinition,
    /// Pods that need each other's DNS to become Ready, and are in DNS only when they are Ready.
    ReadinessDeadlock,
    /// A StatefulSet whose Service does not give its pods names.
    GoverningService,
    /// An annotation that Kubernetes no longer reads.
    IgnoredAnnotation,
    /// A webhook or an API service whose Service is missing.
    WebhookBackend,
    /// A webhook that the pods of the control plane depend on.
    WebhookOfControlPlane,
    /// A port of the machine that something else has.
    HostPort,
    /// A port of all nodes that something else has, or that the API does not give.
    NodePort,
    /// An object that Helm applies at a time of its own.
    HelmHook,
    /// What Helm would not delete.
    HelmResourcePolicy,
    /// A workload whose pods are not its own.
    Workload,
}

impl Rule {
    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::RemovedApi => "removed-api",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
            Self::Template => "template",
            Self::MissingDefinition => "missing-definition",
            Self::ReadinessDeadlock => "readiness-deadlock",
            Self::GoverningService => "governing-service",
            Self::IgnoredAnnotation => "ignored-annotation",
            Self::WebhookBackend => "webhook-backend",
            Self::WebhookOfControlPlane => "webhook-of-control-plane",
            Self::HostPort => "host-port",
            Self::NodePort => "node-port",
            Self::HelmHook => "helm-hook",
            Self::HelmResourcePolicy => "helm-resource-policy",
            Self::Workload => "workload",
        }
    }
}

/// Something that will go wrong, or may.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the directory.
    pub file: String,
    /// The line in it.
    pub line: usize,
    /// What it is about.
    pub rule: Rule,
    /// Kind and name of the object; empty if it is about the file.
    pub object: String,
    /// What goes wrong, and why.
    pub reason: String,
    /// What to do.
    pub cure: String,
}

impl Finding {
    /// About the part of `object` at `pointer`.
    pub fn new(
        rule: Rule,
        object: &Object,
        pointer: &str,
        reason: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            file: object.file.clone(),
            line: object.line(pointer),
            rule,
            object: object.to_string(),
            reason: reason.into(),
            cure: cure.into(),
        }
    }

    /// About a file.
    pub fn of_file(rule: Rule, file: &str, reason: impl Into<String>, cure: impl Into<String>) -> Self {
        let (reason, cure) = (reason.into(), cure.into());
        Self { file: file.to_owned(), line: 1, rule, object: String::new(), reason, cure }
    }

    /// Of what `start` would refuse.
    pub fn of_fault(fault: Fault) -> Self {
        let Fault { line, object, why, finding } = fault;
        let rule = match why {
            Why::Removed => Rule::RemovedApi,
            Why::TooLarge => Rule::TooLarge,
            Why::Other => Rule::Refused,
        };
        Self { file: finding.field, line, rule, object, reason: finding.problem, cure: finding.cure }
    }

    /// For a program.
    pub fn to_json(&self) -> Value {
        let Self { file, line, rule, object, reason, cure } = self;
        let mut fields =
            json!({"file": file, "line": line, "rule": rule.name(), "reason": reason, "cure": cure});
        if !object.is_empty() {
            fields["object"] = json!(object);
        }
        fields
    }

    /// As a warning of a command that says nothing of rules.
    pub fn to_warning(&self) -> String {
        let Self { file, line, object, reason, cure, .. } = self;
        format!("{file}:{line}: {object}: {reason}; {cure}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, object, reason, cure } = self;
        let object = if object.is_empty() { String::new() } else { format!("{object}: ") };
        write!(f, "{file}:{line}: {}: {object}{reason}; {cure}", rule.name())
    }
}
