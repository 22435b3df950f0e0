//! Reads a mapping field by field. Wrong types and unknown names become findings.
//!
//! The code that reads the fields also defines which names are known: there is no second table that
//! could disagree. Values are interpreted elsewhere.

use serde_json::{Map, Value};

use super::mistakes::{Given, List, Mistakes};

/// Names closer than this (0 to 1) are offered as the one that was meant.
const CLOSE_ENOUGH: f64 = 0.75;

/// Keys of kubeadm's ClusterConfiguration, and ours of the same meaning.
const KUBEADM: [(&str, &str); 6] = [
    ("certSANs", "apiServerAltNames"),
    ("controlPlaneEndpoint", "apiServers"),
    ("dnsDomain", "clusterDomain"),
    ("podSubnet", "podCIDRs"),
    ("serviceSubnet", "serviceCIDRs"),
    ("imageRepository", "images"),
];

/// A mapping that is being read.
pub struct Fields<'a> {
    path: String,
    entries: &'a Map<String, Value>,
    known: Vec<&'static str>,
    mistakes: &'a mut Mistakes,
}

impl<'a> Fields<'a> {
    /// Lets `read` read `entries`, then reports every entry that it did not read.
    pub fn read<T>(
        path: String,
        entries: &'a Map<String, Value>,
        mistakes: &'a mut Mistakes,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> T {
        let mut fields = Fields { path, entries, known: Vec::new(), mistakes };
        let result = read(&mut fields);
        fields.report_unknown();
        result
    }

    /// Path of this mapping; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The mistakes, for mistakes that only the caller can find.
    pub fn mistakes(&mut self) -> &mut Mistakes {
        self.mistakes
    }

    /// A text. Numbers and booleans are refused: YAML has already interpreted them and may have
    /// changed them. Their text is read all the same, so that what quotes alone do not cure is
    /// reported at once.
    pub fn string(&mut self, name: &'static str) -> Option<Given<String>> {
        let (at, value) = self.take(name)?;
        self.text(at, value)
    }

    fn text(&mut self, at: String, value: &Value) -> Option<Given<String>> {
        match value {
            Value::String(text) => Some(Given::new(at, text.clone())),
            Value::Bool(_) | Value::Number(_) => {
                self.wrong_type::<()>(&at, value, "a text");
                Some(Given::new(at, value.to_string()))
            }
            other => self.wrong_type(&at, other, "a text"),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Option<Given<bool>> {
        let (at, value) = self.take(name)?;
        match value {
            Value::Bool(value) => Some(Given::new(at, *value)),
            other => self.wrong_type(&at, other, "true or false"),
        }
    }

    /// A whole number from 0 to 65535.
    pub fn count(&mut self, name: &'static str) -> Option<Given<u16>> {
        let (at, value) = self.take(name)?;
        match value.as_u64().and_then(|number| u16::try_from(number).ok()) {
            Some(number) => Some(Given::new(at, number)),
            None => self.wrong_type(&at, value, "a whole number from 0 to 65535"),
        }
    }

    /// A list of texts.
    pub fn strings(&mut self, name: &'static str) -> Option<List> {
        let (at, value) = self.take(name)?;
        let Value::Array(items) = value else { return self.wrong_type(&at, value, "a list of texts") };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            texts.extend(self.text(format!("{at}[{index}]"), item));
        }
        Some(Given::new(at, texts))
    }

    /// Any value.
    pub fn value(&mut self, name: &'static str) -> Option<Given<Value>> {
        let (at, value) = self.take(name)?;
        Some(Given::new(at, value.clone()))
    }

    /// A mapping whose names are up to the user.
    pub fn entries(&mut self, name: &'static str) -> Vec<(String, Given<Value>)> {
        let Some((at, entries)) = self.mapping(name) else { return Vec::new() };
        let place =
            |(key, value): (&String, &Value)| (key.clone(), Given::new(format!("{at}.{key}"), value.clone()));
        entries.iter().map(place).collect()
    }

    /// A mapping inside this one.
    pub fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let (at, entries) = self.mapping(name)?;
        Some(Fields::read(at, entries, self.mistakes, read))
    }

    /// A list of mappings.
    pub fn sections<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Fields<'_>) -> T) -> Vec<T> {
        let Some((at, value)) = self.take(name) else { return Vec::new() };
        let Value::Array(items) = value else {
            return self.wrong_type(&at, value, "a list of mappings").unwrap_or_default();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}[{index}]");
            match item {
                Value::Object(entries) => sections.push(Fields::read(at, entries, self.mistakes, &mut read)),
                other => self.wrong_type(&at, other, "a mapping").unwrap_or_default(),
            }
        }
        sections
    }

    fn mapping(&mut self, name: &'static str) -> Option<(String, &'a Map<String, Value>)> {
        let (at, value) = self.take(name)?;
        match value {
            Value::Object(entries) => Some((at, entries)),
            other => self.wrong_type(&at, other, "a mapping"),
        }
    }

    /// The value of `name`, which becomes a known name. `null` counts as absent, as for kubectl.
    fn take(&mut self, name: &'static str) -> Option<(String, &'a Value)> {
        self.known.push(name);
        let value = self.entries.get(name).filter(|value| !value.is_null())?;
        Some((self.at(name), value))
    }

    fn at(&self, name: &str) -> String {
        let name = if name.is_empty() { "\"\"" } else { name };
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    fn wrong_type<T>(&mut self, at: &str, value: &Value, wanted: &str) -> Option<T> {
        let (kind, quotable) = kind(value);
        let cure = match value {
            _ if quotable && wanted == "a text" => "put it in quotes".into(),
            _ => format!("write {wanted}"),
        };
        self.mistakes.refuse(at, &value.to_string(), format!("is {kind}, not {wanted}"), cure);
        None
    }

    fn report_unknown(&mut self) {
        for name in self.entries.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let renamed = KUBEADM.iter().find(|(theirs, ours)| theirs == name && self.known.contains(ours));
            let cure = match renamed.map(|(_, ours)| *ours).or_else(|| nearest(name, &self.known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it or use one of {}", self.known.join(", ")),
            };
            // The value of an unknown key is not quoted: it may be a password.
            self.mistakes.refuse(&self.at(name), "", "is not a known key", cure);
        }
    }
}

/// The type of a value, for messages, and whether quotes would make it the text that was meant.
fn kind(value: &Value) -> (&'static str, bool) {
    match value {
        Value::Null => ("empty", false),
        Value::Bool(_) => ("a boolean", true),
        Value::Number(_) => ("a number", true),
        Value::String(_) => ("a text", false),
        Value::Array(_) => ("a list", false),
        Value::Object(_) => ("a mapping", false),
    }
}

/// The known name that is most similar to `name`, if one is. Case, dashes and underscores do not
/// count.
pub fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let plain = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let likeness = |candidate: &str| {
        let (a, b) = (plain(name), plain(candidate));
        strsim::normalized_damerau_levenshtein(&a, &b).max(strsim::jaro_winkler(&a, &b) - 0.1)
    };
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= CLOSE_ENOUGH).then_some(*best)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_mistake_of_a_mapping_is_found_at_its_own_path() {
        let value = json!({"name": 1, "list": ["a", 2], "inner": {"flag": "yes", "flga": true}, "zzz": 1});
        let mut mistakes = Mistakes::default();
        let entries = value.as_object().unwrap();
        Fields::read(String::new(), entries, &mut mistakes, |fields| {
            assert_eq!(fields.string("name").unwrap().value, "1");
            assert_eq!(fields.strings("list").unwrap().value.len(), 2);
            fields.section("inner", |inner| assert!(inner.boolean("flag").is_none()));
        });
        let found: Vec<String> = mistakes.findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "name: 1: is a number, not a text; put it in quotes",
                "list[1]: 2: is a number, not a text; put it in quotes",
                "inner.flag: \"yes\": is a text, not true or false; write true or false",
                "inner.flga: is not a known key; did you mean `flag`?",
                "zzz: is not a known key; remove it or use one of name, list, inner",
            ]
        );
    }

    #[test]
    fn keys_of_kubeadm_lead_to_ours() {
        let value = json!({"certSANs": [], "controlPlaneEndpoint": "a"});
        let mut mistakes = Mistakes::default();
        Fields::read(String::new(), value.as_object().unwrap(), &mut mistakes, |fields| {
            for name in ["certificates", "controlPlane", "apiServers", "apiServerAltNames"] {
                fields.value(name);
            }
        });
        let cures: Vec<&str> = mistakes.findings.iter().map(|finding| &*finding.cure).collect();
        assert_eq!(cures, ["did you mean `apiServerAltNames`?", "did you mean `apiServers`?"]);
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let known = ["podCIDRs", "serviceCIDRs", "clusterName"];
        assert_eq!(nearest("podCIDR", &known), Some("podCIDRs"));
        assert_eq!(nearest("pod_cidrs", &known), Some("podCIDRs"));
        assert_eq!(nearest("clustername", &known), Some("clusterName"));
        assert_eq!(nearest("colour", &known), None);
    }
}
