//! The PKI as others see it: openssl and Go verify every certificate, an earlier render survives, mistakes are named.

mod catalogue;
mod mutation;
mod reuse;
mod supplied;
mod support;
