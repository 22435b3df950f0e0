//! Labels, and what selects them.

use std::collections::BTreeMap;

use serde_json::Value;

/// Labels, or a selector of that form.
pub type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// A map of texts.
pub fn labels(map: &Value) -> Labels<'_> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// Whether the selector of a Service selects `labels`. An empty one selects nothing.
pub fn selects(selector: &Labels<'_>, labels: &Labels<'_>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a LabelSelector matches `labels`. An empty one matches all.
pub fn matches(selector: &Value, labels: &Labels<'_>) -> bool {
    let wanted = self::labels(&selector["matchLabels"]);
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| holds(expression, labels))
}

fn holds(expression: &Value, labels: &Labels<'_>) -> bool {
    let found = expression["key"].as_str().and_then(|key| labels.get(key));
    let values = || expression["values"].as_array().into_iter().flatten();
    let is_in = || found.is_some_and(|found| values().any(|value| value == *found));
    match expression["operator"].as_str().unwrap_or_default() {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_matches_as_in_kubernetes() {
        let labels = Labels::from([("app", "web"), ("tier", "front")]);
        for (selector, expected) in [
            (json!(null), true),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["web"]}]}), true),
            (json!({"matchExpressions": [{"key": "none", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}), true),
        ] {
            assert_eq!(matches(&selector, &labels), expected, "{selector}");
        }
        assert!(selects(&Labels::from([("app", "web")]), &labels));
        assert!(!selects(&Labels::new(), &labels), "a Service without a selector selects no pod");
    }
}
