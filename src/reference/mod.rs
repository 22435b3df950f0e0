//! A configuration in the form of its file, and what each field means.

mod document;
mod fields;

pub use document::{defaults_text, to_value};
