//! A file of a machine.

pub const SECRET: u32 = 0o600;
pub const PUBLIC: u32 = 0o644;

/// A file as it is on the machine.
pub struct File {
    /// Where it belongs.
    pub path: &'static str,
    /// Its permissions there.
    pub mode: u32,
    pub content: String,
}
