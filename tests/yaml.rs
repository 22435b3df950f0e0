//! YAML is read as kubectl reads it, and kubectl reads back what is written: compared with the Go
//! library kubectl uses.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

use std::io::Write as _;
use std::process::Stdio;

use bootkube::yaml;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const CASES: u32 = 10_000;

const SEED: &str = include_str!("yaml_go/seed.yaml");

/// The two documents of the seed.
fn seeds() -> [&'static str; 2] {
    SEED.split_once("---\n").map(<[&str; 2]>::from).unwrap()
}

/// What Go makes of each document, `Err` where it refuses. One process for all of them.
fn go(documents: &[String]) -> Vec<Result<Value, String>> {
    let mut child = lab::go("../yaml_go")
        .args(["run", "."])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("go runs");
    let mut stdin = child.stdin.take().unwrap();
    let input: String = documents.iter().map(|text| serde_json::to_string(text).unwrap() + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let answers: Vec<_> = lines
        .map(|line| match line.unwrap() {
            Value::Object(mut map) if map.contains_key("error") => Err(map["error"].take().to_string()),
            mut value => Ok(value["json"].take()),
        })
        .collect();
    assert_eq!(answers.len(), documents.len());
    answers
}

/// Makes numbers comparable: JSON of Go, read by serde_json, has large integers as floats.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.clone(), comparable(v))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => json!(0),
            // Twelve digits: serde_json reads floats to within one unit in the last place.
            Some(float) if !number.is_i64() || float.abs() > 9e15 => json!(format!("{float:.11e}")),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

fn ours(text: &str) -> Result<Value, String> {
    let mut documents = yaml::parse(text, "corpus").map_err(|error| error.to_string())?;
    match documents.len() {
        0 => Ok(Value::Null),
        1 => Ok(comparable(&documents.remove(0))),
        n => Err(format!("{n} documents")),
    }
}

/// Scalars in which YAML 1.1, YAML 1.2 and Go disagree.
#[rustfmt::skip] // one a line would be two screens
const SCALARS: &[&str] = &[
    "0400", "0o400", "0O17", "-0400", "+012", "08", "09.5", "0", "00", "-0", "+0", "-0.0", "0x1f", "0X1F",
    "-0x1f", "0x", "0xg", "0b101", "0B1", "-0b11", "0b-101", "0b+1", "0b2", "1e3", "1E3", "1e+3", "1.5e-3",
    "1e400", "-1e400", "1_000", "0x_1f", "_1", "1_", "0_7", "1__0", "1_0.5_0", "._5", ".5_0", ".5", "-.5",
    "+.5", "5.", ".", "-", "+", "..", ".e5", "1.e5", ".5e1", "1.2.3", "12:30:00", "1:30", "190:20:30.15",
    "2001-12-14", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2001-1-1",
    "18446744073709551615", "18446744073709551616", "+18446744073709551615", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999999", "1e21",
    "1e20", "123456789012345678", "0.1", "1.0", "1.10", "3.14159265358979", "1e-7", "y", "Y", "n", "N", "yes",
    "Yes", "YES", "yEs", "no", "No", "NO", "on", "On", "ON", "oN", "off", "Off", "OFF", "true", "True",
    "TRUE", "tRUE", "false", "False", "FALSE", "null", "Null", "NULL", "nULL", "~", "", "''", "\"\"", "<<",
    "=", ".inf", "-.inf", "+.INF", ".nan", ".NaN", ".iNf", "inf", "nan", "Infinity", "'0400'", "\"on\"",
    "'~'", "!!str 12", "!!str on", "!!str", "!!int \"3\"", "!!int 0x1f", "!!int x", "!!int 1.5", "!!float 3",
    "!!float 1.5", "!!float x", "!!bool yes", "!!bool \"on\"", "!!bool 1", "!!null ~", "!!null x",
    "!!binary aGk=", "!!timestamp 2001-12-14", "!custom 12", "!custom x", "! 12", "! on", "foo", "foo bar",
    "foo: ", "#foo", "foo#bar", "foo #bar", "a:b", "http://a/b", "-a", "?a", ":a", "%a", "@a", "`a",
    "[1, on, 0400]", "{a: 0400, on: off}", "&a x", "*a", "é", "日本語", "\"\\u00e9\\x41\\n\"", "'it''s'",
    "|\n  a\n  b\n", "|-\n  a\n\n", ">\n  a\n  b\n\n  c\n", "|+\n  a\n\n", ">-\n  0400\n", "a\n  b",
];

fn every_scalar_as_value_and_key() -> Vec<String> {
    let value = |scalar: &&str| format!("x: {scalar}\n");
    let item = |scalar: &&str| format!("- {scalar}\n");
    let key = |scalar: &&str| format!("{scalar}: x\n");
    let one_line = || SCALARS.iter().filter(|scalar| !scalar.contains('\n'));
    SCALARS.iter().map(value).chain(one_line().map(item)).chain(one_line().map(key)).collect()
}

const STRUCTURES: &[&str] = &[
    "",
    "# nothing\n",
    "---\n",
    "a: &x {b: 1}\nc: *x\n",
    "a: &x 0400\nc: *x\n*x : d\n",
    "base: &b {x: 1, y: 2}\nd:\n  <<: *b\n  x: 3\n",
    "base: &b {x: 1, z: 2}\nd:\n  x: 3\n  <<: *b\n",
    "a: &a {x: 1}\nb: &b {x: 2, w: 3}\nd:\n  <<: [*a, *b]\n  v: 4\n",
    "a: &a [1]\nd:\n  <<: *a\n",
    "d:\n  <<: 3\n",
    "d:\n  <<: {q: 1}\n",
    "d:\n  '<<': {q: 1}\n",
    "a: *missing\n",
    "a: &a [*a]\n",
    "? a\n: b\n",
    "? [a]\n: b\n",
    "? {a: b}\n: c\n",
    "~: x\n",
    "a:\n- b\n- c:\n  - d\n",
    "a: 1\r\nb: 2\r\n",
    "a:\n\tb: 1\n",
    "{\"a\":\t1,\n\t\"b\": [true, null, 1.5e3]}\n",
    "a: b: c\n",
    "a: [1, 2\n",
    "a: 'x\n",
    "- a\nb: c\n",
    "a: |\n  x\n   y\n\n  z\nb: 1\n",
    "a: >-\n  x\n  y\n\n   z\n",
    "a: \"x\n  y\"\n",
    "%YAML 1.1\n---\na: 1\n",
    "a: 1\n...\n",
    "\u{feff}a: 1\n",
    "a: {}\nb: []\n",
    "0x10: a\n1.5: b\n1e6: c\n1e-5: d\n0.0001: e\n100000.0: f\n16777217.0: g\ntrue: h\n",
];

/// Lines of a real manifest, shuffled into something that may or may not be YAML.
fn mutated(seed: &'static str) -> impl Strategy<Value = String> {
    let edit =
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..6u8, prop::sample::select(SCALARS));
    prop::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut lines: Vec<String> = seed.lines().map(str::to_owned).collect();
        for (at, from, what, scalar) in edits {
            let (at, from) = (at.index(lines.len()), from.index(lines.len()));
            match what {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[from].clone()),
                2 => lines.swap(at, from),
                3 => {
                    lines[at] =
                        format!("{}{scalar}", lines[at].split_inclusive(": ").next().unwrap_or_default())
                }
                4 => lines[at].insert(0, ' '),
                _ => lines[at] = lines[at].replacen("  ", "", 1),
            }
            if lines.is_empty() {
                break;
            }
        }
        lines.join("\n") + "\n" // kubectl ends every line too, the last one included
    })
}

fn bytes_mutated(seed: &'static str) -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        prop::sample::select(b"\0\t\n\r -:#&*!|>'\"%@`{}[],?~<=x0\xff".to_vec()),
    );
    (any::<prop::sample::Index>(), prop::collection::vec(edit, 1..12)).prop_map(move |(end, edits)| {
        let mut bytes = seed.as_bytes()[..=end.index(seed.len())].to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Strings that a careless writer leaves unquoted or breaks.
fn awkward_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(SCALARS).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            " leading", "trailing ", "trailing\n", "two\n\n", "\nfirst", "a\n b\n", " a\nb", "tab\there", "\t", "a\tb\nc", "a \nb",
            "cr\r\nlf\r\n", "nul\0", "\u{85}", "a\u{2028}b", "\u{feff}", "---", "...", "--- a", "a\n---\nb\n", "a\n...\n", "- a", "? a",
            "a: b", "a #b", "{{ .X }}", "*a", "&a", "!a", "%a", "@a", "|", ">", "\u{7f}", "\u{9f}", "\u{1f600}", "x\n\n\ny", "\n", "\n\n",
            " \n", "\n ", "a\n\t\n", "-----BEGIN CERTIFICATE-----\nMIIB+Q==\n-----END CERTIFICATE-----\n",
            ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n    forward . /etc/resolv.conf\n}\n",
        ]).prop_map(str::to_owned),
        2 => "[ -~\n]{0,30}",
        1 => "[a-z0-9 ]{60,200}",
        1 => any::<String>(),
    ]
}

fn awkward_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => awkward_text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_filter("whole floats are integers to kubectl", |f| f.fract() != 0.0).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((awkward_text(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn samples<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn report(differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}

#[test]
fn scalars_and_structures_are_read_as_go_reads_them() {
    let mut corpus = every_scalar_as_value_and_key();
    corpus.extend(STRUCTURES.iter().map(ToString::to_string));
    let mut differences = Vec::new();
    for (text, theirs) in corpus.iter().zip(go(&corpus)) {
        let same = match (&theirs, ours(text)) {
            (Ok(theirs), Ok(ours)) => comparable(theirs) == ours,
            (theirs, ours) => theirs.is_err() == ours.is_err(),
        };
        if !same {
            differences.push(format!("{text:?}\n  Go:   {theirs:?}\n  ours: {:?}", ours(text)));
        }
    }
    report(&differences);
}

#[test]
fn mutated_manifests_that_both_read_mean_the_same() {
    let corpus = seeds().map(|seed| samples(mutated(seed), 1500)).concat();
    let mut differences = Vec::new();
    let mut read = 0;
    for (text, theirs) in corpus.iter().zip(go(&corpus)) {
        if let (Ok(theirs), Ok(ours)) = (&theirs, ours(text)) {
            read += 1;
            if comparable(theirs) != ours {
                differences.push(format!("{text}\n  Go:   {theirs}\n  ours: {ours}"));
            }
        }
    }
    assert!(read > 500, "only {read} documents were read by both");
    report(&differences);
}

#[test]
fn go_reads_back_what_we_write() {
    let values = samples(awkward_value(), 4000);
    let corpus: Vec<String> = values.iter().map(yaml::write).collect();
    let mut differences = Vec::new();
    for ((value, text), theirs) in values.iter().zip(&corpus).zip(go(&corpus)) {
        let same = theirs.as_ref().is_ok_and(|read| comparable(read) == comparable(value));
        if !same {
            differences.push(format!("{value}\n{text:?}\n  Go: {theirs:?}"));
        }
    }
    report(&differences);
}

#[test]
fn mistakes_name_file_line_and_column() {
    let table = [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:4: the key `a` is given twice"),
        ("1: a\n\"1\": b\n", "f.yaml:2:6: the key `1` is given twice"),
        ("{\"a\": 1, \"a\": 2}", "f.yaml:1:15: the key `a` is given twice"),
        ("a: 1\nb: .inf\n", "f.yaml:2:4: JSON has no infinity and no NaN"),
        ("a: &a\n  b: *a\n", "f.yaml:2:6: this alias stands inside of what it refers to"),
        ("d:\n  <<: 3\n", "f.yaml:2:7: `<<` takes a mapping, or a list of mappings"),
    ];
    for (text, expected) in table {
        assert_eq!(yaml::parse(text, "f.yaml").unwrap_err().to_string(), expected);
    }
    let broken = yaml::parse("a: 1\nb: [1, 2\nc: 3\n", "f.yaml").unwrap_err();
    assert!(broken.line >= 2, "{broken}");
}

#[test]
fn documents_are_numbered_and_empty_ones_skipped() {
    let text = "# comment\n---\na: 1\n---\n# nothing\n---\nnull\n---\nb: 2\n";
    let numbers: Vec<_> =
        yaml::documents(text, "f").unwrap().iter().map(|d| (d.number, d.value.clone())).collect();
    assert_eq!(numbers, [(1, json!({"a": 1})), (4, json!({"b": 2}))]);
    assert_eq!(yaml::parse("{\"a\":1}\n{\"b\":2}", "f").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
    assert_eq!(yaml::parse("# only\n", "f").unwrap(), [] as [Value; 0]);
}

#[test]
fn alias_bombs_and_bottomless_nesting_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let before = i - 1;
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{before}"); 9].join(", "));
    }
    let error = yaml::parse(&bomb, "f").unwrap_err();
    assert!(error.to_string().contains("unreasonable size"), "{error}");
    assert!(yaml::parse(&"[".repeat(100_000), "f").is_err());
    assert!(yaml::parse(&"- ".repeat(100_000), "f").is_err());
}

#[test]
fn ten_thousand_objects_in_one_file_are_read() {
    let object = |i| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{i}\n  labels: {{a: b, c: d}}\ndata:\n  x: |\n    y\n    z\n"
        )
    };
    let file: String = (0..10_000).map(|i| object(i) + "---\n").collect();
    let started = std::time::Instant::now();
    assert_eq!(yaml::parse(&file, "f").unwrap().len(), 10_000);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn we_read_back_what_we_write(value in awkward_value()) {
        let text = yaml::write(&value);
        let expected: Vec<Value> = if value.is_null() { vec![] } else { vec![value] };
        prop_assert_eq!(yaml::parse(&text, "f").map_err(|e| format!("{e}\n{text:?}")), Ok(expected), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![mutated(SEED), bytes_mutated(SEED), any::<String>()]) {
        if let Err(error) = yaml::parse(&text, "f") {
            prop_assert!(error.line > 0 && error.column > 0, "{error:?}");
        }
    }
}
