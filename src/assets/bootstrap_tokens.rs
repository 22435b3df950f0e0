//! The bootstrap tokens of the assets, and what a bootstrap token is.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::object::Object;
use crate::NAMESPACE;

/// Type of the Secret of a bootstrap token.
const TOKEN: &str = "bootstrap.kubernetes.io/token";
/// Characters of an ID and of a secret.
const LENGTHS: (usize, usize) = (6, 16);

/// A bootstrap token of the assets.
pub struct Token {
    /// Which token it is. No secret.
    pub id: String,
    secret: String,
    /// When it ends, if it does.
    pub expires: Option<OffsetDateTime>,
    /// The file of the assets that holds it.
    pub file: String,
}

impl Token {
    /// As a kubeconfig has it.
    pub fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

/// The ID of a bootstrap token, which is no secret; `None` for any other token, of which every part may be one.
pub fn id_of(token: &str) -> Option<&str> {
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let (id, secret) = token.split_once('.')?;
    ((id.len(), secret.len()) == LENGTHS && is_plain(id) && is_plain(secret)).then_some(id)
}

/// The bootstrap tokens among `objects`.
pub fn tokens(objects: &[Object]) -> Vec<Token> {
    let is_token = |object: &&Object| object.value["type"] == TOKEN && object.namespace() == Some(NAMESPACE);
    objects.iter().filter(is_token).filter_map(token).collect()
}

fn token(object: &Object) -> Option<Token> {
    let text = |key: &str| {
        let plain = object.value["stringData"][key].as_str().map(str::to_owned);
        plain.or_else(|| decoded(&object.value["data"][key]))
    };
    let expires = text("expiration").and_then(|expires| OffsetDateTime::parse(&expires, &Rfc3339).ok());
    Some(Token { id: text("token-id")?, secret: text("token-secret")?, expires, file: object.file.clone() })
}

fn decoded(data: &Value) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bootstrap_token_has_an_id_that_is_no_secret() {
        assert_eq!(id_of("abcdef.0123456789abcdef"), Some("abcdef"));
        let others = ["", "31ada4fd-adec-460c", "abcdef.0123456789abcde", "abcde.0123456789abcdef"];
        let upper = ["ABCDEF.0123456789abcdef", "eyJhbG.0123456789.bcdef", "abcdef.0123456789abcdef.x"];
        assert!(others.iter().chain(&upper).all(|token| id_of(token).is_none()));
    }
}
