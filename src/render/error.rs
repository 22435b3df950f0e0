//! Why rendering fails.

/// Why rendering failed. The configuration has been validated by now, so only patches that do not
/// fit are left.
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
}
