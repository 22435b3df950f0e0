//! A status for a person and for a program.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::certificates::whole;
use super::{Asked, Certificate, Component, Hosting, Outcome, Status};
use crate::diagnose::{Blocker, Unwell, starting};
use crate::pki::rfc3339;

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/status/v1";
/// Shown for an empty cell.
const NONE: &str = "-";

/// Problems first, then tables.
pub fn to_text(status: &Status, now: OffsetDateTime) -> String {
    let Status { server, problems, components, asked, unwell, certificates, unseen } = status;
    let mut lines = match problems.len() {
        0 => vec![format!("the cluster at {server} is healthy")],
        1 => vec![format!("the cluster at {server} has a problem:")],
        many => vec![format!("the cluster at {server} has {many} problems:")],
    };
    lines.extend(problems.iter().map(|problem| format!("  {problem}")));
    lines.extend(starting(unwell).map(|pods| format!("still starting: {pods}")));
    lines.extend(unseen.iter().map(|unseen| format!("not seen: {unseen}")));
    if !components.is_empty() {
        lines.push(String::new());
        let heads = ["COMPONENT", "HOSTING", "NODE", "READY", "LEADER", "IMAGE"];
        lines.extend(table(heads, components.iter().map(component_cells)));
    }
    let answered = || asked.iter().filter(|it| !matches!(it.outcome, Outcome::Skip(_)));
    if answered().next().is_some() {
        lines.push(String::new());
        lines.extend(table(["ASKED FROM HERE", "ADDRESS", "ANSWER"], answered().map(asked_cells)));
    }
    if !certificates.is_empty() {
        lines.push(String::new());
        let heads = ["CERTIFICATE", "EXPIRES", "IN", "SEEN IN"];
        lines
            .extend(table(heads, certificates.iter().map(|certificate| certificate_cells(certificate, now))));
    }
    lines.join("\n") + "\n"
}

fn component_cells(component: &Component) -> [String; 6] {
    let Component { name, hosting, pod: _, node, image, ready, leads } = component;
    let leads = leads.map_or(NONE, |leads| if leads { "yes" } else { "no" });
    let node = if node.is_empty() { NONE } else { node };
    let ready = if ready.is_ok() { "yes" } else { "no" };
    [
        (*name).to_owned(),
        hosting.to_string(),
        node.to_owned(),
        ready.to_owned(),
        leads.to_owned(),
        image.clone(),
    ]
}

fn asked_cells(Asked { name, at, outcome }: &Asked) -> [String; 3] {
    let answer = match outcome {
        Outcome::Pass(detail) | Outcome::Skip(detail) => detail.clone(),
        Outcome::Fail(Blocker { why, .. }) => format!("FAIL: {why}"),
    };
    [(*name).to_owned(), at.clone(), answer]
}

fn certificate_cells(certificate: &Certificate, now: OffsetDateTime) -> [String; 4] {
    let Certificate { name, place, not_after, is_renewed, .. } = certificate;
    let left = if now > *not_after { "expired".to_owned() } else { whole(*not_after - now) };
    let left = if *is_renewed { left + ", renewed automatically" } else { left };
    [name.clone(), rfc3339(*not_after), left, place.clone()]
}

/// Lines in columns, each as wide as its widest cell.
fn table<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = [heads.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The same for a program; docs/status.md describes it.
pub fn to_json(status: &Status) -> Value {
    let Status { server, problems, components, asked, unwell, certificates, unseen } = status;
    json!({
        "format": FORMAT,
        "server": server,
        "healthy": problems.is_empty(),
        "problems": problems,
        "unseen": unseen,
        "components": components.iter().map(component_value).collect::<Vec<_>>(),
        "asked": asked.iter().map(asked_value).collect::<Vec<_>>(),
        "pods": unwell.iter().map(unwell_value).collect::<Vec<_>>(),
        "certificates": certificates.iter().map(certificate_value).collect::<Vec<_>>(),
    })
}

fn component_value(component: &Component) -> Value {
    let Component { name, hosting, pod, node, image, ready, leads } = component;
    let (hosting, workload) = match hosting {
        Hosting::SelfHosted(workload) => ("selfHosted", workload.as_str()),
        Hosting::StaticPod => ("staticPod", ""),
        Hosting::Bootstrap => ("bootstrap", ""),
        Hosting::Copy => ("copy", ""),
        Hosting::Bare => ("bare", ""),
    };
    json!({
        "component": name,
        "hosting": hosting,
        "workload": workload,
        "pod": pod,
        "node": node,
        "image": image,
        "ready": ready.is_ok(),
        "reason": ready.as_ref().err().map_or("", String::as_str),
        "leader": leads,
    })
}

fn asked_value(Asked { name, at, outcome }: &Asked) -> Value {
    let (word, detail, cure) = match outcome {
        Outcome::Pass(detail) => ("pass", detail, ""),
        Outcome::Fail(Blocker { what: _, why, cure }) => ("fail", why, cure.as_str()),
        Outcome::Skip(why) => ("skip", why, ""),
    };
    json!({"name": name, "address": at, "outcome": word, "detail": detail, "do": cure})
}

fn unwell_value(Unwell { workload, pod, node, cause }: &Unwell) -> Value {
    let of = |text: fn(&Blocker) -> &String| cause.as_ref().map_or("", |cause| text(cause));
    json!({
        "workload": workload,
        "pod": pod,
        "node": node,
        "starting": cause.is_none(),
        "what": of(|cause| &cause.what),
        "why": of(|cause| &cause.why),
        "do": of(|cause| &cause.cure),
    })
}

fn certificate_value(certificate: &Certificate) -> Value {
    let Certificate { name, place, is_authority, not_before, not_after, is_renewed } = certificate;
    json!({
        "name": name,
        "seenIn": place,
        "authority": is_authority,
        "notBefore": rfc3339(*not_before),
        "notAfter": rfc3339(*not_after),
        "renewed": is_renewed,
    })
}
