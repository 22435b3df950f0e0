//! What Go 1.26's crypto/x509 reads in a certificate, and where it refuses one.
//!
//! Every component of Kubernetes, etcd and kubectl verify with these rules, and other libraries
//! have others: webpki ignores the usages of a root, openssl the constraints of one. x509-parser
//! reads the fields. What Go refuses to read is in `read.rs`; names and their constraints, policies
//! and signatures have files of their own. `pki` builds the chains. `tests/pki/agreement.rs`
//! compares the answers with Go's.

pub mod der;
mod names;
mod policy;
mod read;
mod signature;

pub use policy::{Link, hold};
pub use read::{Rules, limits, rules};
pub use signature::{Unsigned, is_signature_of};
