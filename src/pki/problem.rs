//! What can be wrong with one PEM file, in words. The content of the file is never quoted.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::finding::Finding;

/// A reason not to use a certificate or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("is not PEM")]
    NotPem,
    #[error("holds no certificate")]
    NoCertificate,
    #[error("holds {0} certificates")]
    SeveralCertificates(usize),
    #[error("holds a certificate that cannot be read")]
    BadCertificate,
    #[error("holds {0}, so no component of Kubernetes reads it")]
    Unreadable(String),
    #[error("holds a CA with the critical extension {0}, which Kubernetes does not know or not in full")]
    UnknownCritical(String),
    #[error("holds {holds}, and {other} holds {its}: the two seem to be exchanged")]
    Exchanged { holds: &'static str, other: String, its: &'static str },
    #[error("holds a private key that does not belong to the certificate in {0}, but to that in {1}")]
    OtherCertificate(String, String),
    #[error("holds a certificate that Kubernetes refuses: {0}")]
    Refused(String, String),
    #[error("holds a CA whose certificates Kubernetes refuses (here {0}): {1}")]
    Signs(String, String, String),
    #[error("holds no CA that can stand above etcd's server {host}: {why}")]
    NoServerAuthority { host: String, why: String },
    #[error("holds no private key")]
    NoKey,
    #[error("holds an encrypted private key")]
    EncryptedKey,
    #[error("holds a private key that is damaged or of an unsupported kind")]
    UnsupportedKey,
    #[error("holds a private key that does not belong to the certificate in {0}")]
    Mismatch(String),
    #[error("holds a certificate that is not a CA (basicConstraints)")]
    NotAuthority,
    #[error("holds a CA that may not sign certificates (keyUsage lacks keyCertSign)")]
    MayNotSign,
    #[error("holds a CA whose extendedKeyUsage forbids server or client certificates")]
    UsageForbidden,
    #[error("holds a certificate that expired at {}", rfc3339(*.0))]
    Expired(OffsetDateTime),
    #[error("holds a certificate that is not valid before {}", rfc3339(*.0))]
    NotYetValid(OffsetDateTime),
}

impl Problem {
    fn cure(&self) -> &str {
        match self {
            Self::Unreadable(_) => "give a certificate without it (openssl x509 -noout -text shows it)",
            Self::UnknownCritical(_) => "give a CA certificate without it, or where it is not critical",
            Self::Exchanged { .. } => "exchange the two paths",
            Self::OtherCertificate(..) => "give the key that the certificate was made with",
            Self::Refused(_, cure) | Self::Signs(_, _, cure) => cure,
            Self::NoServerAuthority { .. } => {
                "give the CA that signed the certificates of etcd's servers; the file may hold several"
            }
            Self::NotPem => "give a file with -----BEGIN … and -----END … lines (openssl's -outform PEM)",
            Self::NoCertificate => "give the file that has the -----BEGIN CERTIFICATE----- block",
            Self::SeveralCertificates(_) => {
                "keep only the CA that signs: the controller manager accepts exactly one"
            }
            Self::BadCertificate => "check it with openssl x509 -noout -text -in FILE",
            Self::NoKey => "give the file that has the -----BEGIN … PRIVATE KEY----- block",
            Self::EncryptedKey => "decrypt it with openssl pkey -in FILE -out DECRYPTED and give that",
            Self::UnsupportedKey => "give an RSA (2048 to 8192 bits) or EC (P-256, P-384, P-521) key",
            Self::Mismatch(_) => "give the key that the certificate was made with",
            Self::NotAuthority => "give a certificate with CA:TRUE, not one that a CA signed for a server",
            Self::MayNotSign => "give a CA certificate whose keyUsage has keyCertSign",
            Self::UsageForbidden => {
                "give a CA certificate without extendedKeyUsage, or with serverAuth and clientAuth"
            }
            Self::Expired(_) => "give a certificate that is valid now",
            Self::NotYetValid(_) => "check this machine's clock, or give a certificate that is valid now",
        }
    }

    /// This problem as a finding about the file that `field` names.
    pub(super) fn finding(self, field: &str, path: &str) -> Finding {
        let (problem, cure) = (self.to_string(), self.cure().to_owned());
        Finding { field: field.to_owned(), value: path.to_owned(), problem, cure }
    }
}

/// A point in time for messages: to the second.
pub(crate) fn rfc3339(moment: OffsetDateTime) -> String {
    let moment = moment.replace_nanosecond(0).unwrap_or(moment);
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.to_string())
}
