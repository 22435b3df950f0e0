//! What is held against itself: a configuration with the places of its values.

use ipnet::IpNet;

use super::super::resolve::{Argument, Ranges};
use super::super::settings::Settings;
use super::super::{ClusterConfig, Component};
use crate::nodes::Listed;
use crate::values::go_flag;
use crate::values::mistakes::Given;

/// A configuration with the places of its values.
pub struct Input<'i> {
    pub settings: &'i Settings,
    pub listed: &'i [Listed],
    pub ranges: &'i Ranges,
    pub arguments: &'i [Argument],
    pub config: &'i ClusterConfig,
}

impl Input<'_> {
    /// The flag of a component, if the user sets it.
    pub fn argument(&self, part: Component, name: &str) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.part == part && argument.name == name)
    }

    /// Minor version of Kubernetes 1.
    pub fn minor(&self) -> u32 {
        let minor = self.config.kubernetes_version.split('.').nth(1);
        minor.and_then(|minor| minor.parse().ok()).unwrap_or(*super::super::defaults::KUBERNETES_MINORS.end())
    }
}

/// Whether a range is the default, which the user did not write.
pub fn by_default(range: &Given<IpNet>) -> bool {
    range.at.ends_with("(default)")
}

/// Whether Go reads the value of a switch as false.
pub fn is_off(value: Option<&str>) -> bool {
    value.and_then(go_flag::boolean) == Some(false)
}

/// Whether a flag names something: neither `null`, which removes it, nor an empty text.
pub fn has_text(argument: &Argument) -> bool {
    argument.values.iter().any(|value| !value.is_empty())
}

/// The value of a flag that takes one.
pub fn only(argument: &Argument) -> Option<&str> {
    match argument.values.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}
