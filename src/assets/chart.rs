//! Helm charts that lie among the manifests as they are, before Helm has rendered them.

use super::kinds::Mistake;

/// What makes a folder a chart.
const MARK: &str = "Chart.yaml";
/// What ends the name of a packed chart.
const PACKED: [&str; 2] = [".tgz", ".tar.gz"];

/// The charts among the files at `paths`, packed or in folders, without the charts inside of them.
pub fn among(paths: &[String]) -> Vec<String> {
    let chart = |path: &String| Some(path.strip_suffix(MARK)?.strip_suffix('/')?.to_owned());
    let packed = |path: &&String| PACKED.iter().any(|end| path.ends_with(end));
    let all: Vec<String> =
        paths.iter().filter_map(chart).chain(paths.iter().filter(packed).cloned()).collect();
    let is_inner = |path: &String| all.iter().any(|outer| path != outer && is_of(path, outer));
    all.iter().filter(|path| !is_inner(path)).cloned().collect()
}

/// Whether a file is the chart, or in its folder.
pub fn is_of(path: &str, chart: &str) -> bool {
    path.strip_prefix(chart).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is wrong about a chart.
pub fn mistake() -> Mistake {
    Mistake {
        problem: "it is a Helm chart, which only Helm can render".to_owned(),
        cure: "move it out of this folder, and write here what `helm template` prints (docs/workloads.md)"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_found_by_their_mark_or_packed_and_those_inside_are_not() {
        let paths = [
            "manifests/coredns.yaml",
            "manifests/web/Chart.yaml",
            "manifests/web/charts/db/Chart.yaml",
            "manifests/web/charts/cache-1.tgz",
            "manifests/web/templates/web.yaml",
            "manifests/webs.yaml",
            "manifests/packed-0.1.0.tgz",
            "manifests/NotChart.yaml",
        ];
        let found = among(&paths.map(str::to_owned));
        assert_eq!(found, ["manifests/web", "manifests/packed-0.1.0.tgz"]);
        assert!(is_of(paths[4], &found[0]) && is_of(paths[6], &found[1]));
        assert!(!is_of(paths[5], &found[0]) && !is_of(paths[7], &found[0]));
    }
}
