//! Single values of a configuration: each is read from its text, or what is wrong with it is said,
//! with the text that was meant.
//!
//! Nothing here knows the fields of a configuration. `config` does, and how values fit together.

pub mod endpoint;
pub mod fields;
pub mod go_duration;
pub mod go_flag;
pub mod mistakes;
pub mod quantity;
pub mod scalar;
pub mod spelling;
