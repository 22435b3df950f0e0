//! How a row of a table is tried: by each command that reads a configuration.

use std::process::Output;

use tempfile::TempDir;

use crate::command::bootkube;

pub(crate) const HEADER: &str = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";
pub(crate) const HERE: &str = "apiServers: ['https://192.0.2.10:6443']\netcd: {mode: staticPod}\n";

/// A row: fields of the file, the field that is named, what is wrong, the cure.
pub(crate) type Row<'r> = (&'r str, &'r str, &'r str, &'r str);

pub(crate) fn run(fields: &str, words: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), format!("{HEADER}{fields}\n")).unwrap();
    let output = bootkube(folder.path(), words, "");
    assert!(!folder.path().join("assets").join("manifests").exists() || output.status.success());
    output
}

/// Rows: fields of the file, the place of the warning, what it says. There is one at the place.
pub(crate) fn warned(rows: &[(&str, &str, &[&str])], common: &str) {
    for (fields, place, words) in rows {
        let output = run(&format!("{common}{fields}"), VALIDATE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{fields}\n{said}");
        let at = format!("cluster.yaml: {place}: ");
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(&at)).collect();
        assert_eq!(lines.len(), 1, "{fields}\n{said}");
        assert!(words.iter().all(|word| lines[0].contains(word)), "{fields}\n{said}\nlacks {words:?}");
    }
}

pub(crate) const VALIDATE: &[&str] = &["config", "validate", "--config=cluster.yaml"];
pub(crate) const RENDER: &[&str] = &["render", "--config=cluster.yaml", "--asset-dir=assets"];

pub(crate) fn refused(rows: &[Row<'_>], common: &str) {
    for (fields, field, problem, cure) in rows {
        for words in [VALIDATE, RENDER] {
            let output = run(&format!("{common}{fields}"), words);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(3), "{fields}\n{said}");
            let lines: Vec<&str> =
                said.lines().filter(|line| line.contains(&format!("cluster.yaml: {field}: "))).collect();
            let fits = |line: &&&str| line.contains(problem) && line.contains(cure);
            assert!(
                lines.iter().any(|line| fits(&line)),
                "{fields}\n{said}\nlacks {field}: {problem}; {cure}"
            );
        }
    }
}
