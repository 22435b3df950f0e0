//! Why rendering fails.

use crate::finding::Findings;

/// Why rendering failed. Each value of the configuration is good by itself by now. What is left
/// shows only in the finished objects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A patch cannot be applied, or sets a field that the object does not have.
    #[error("components.{component}.patches[{index}]: {problem}")]
    Patch {
        /// The component, as the config file names it.
        component: &'static str,
        /// Position in its list.
        index: usize,
        /// What is wrong, and the cure.
        problem: String,
    },
    /// Finished objects that their API would refuse, or whose pods could not do their work.
    #[error(transparent)]
    Unfit(Findings),
}
