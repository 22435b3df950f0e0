//! Output of commands: data on stdout, warnings on stderr, mistakes as one failure.

use std::io::{self, Write};

use crate::error::{ExitClass, Failure};
use crate::finding::Findings;
use crate::{pki, render};

/// Writes data to stdout. A closed pipe (`bootkube … | head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure {
            class: ExitClass::General,
            message: format!("failed to write to stdout: {error}"),
            hint: None,
        }),
        _ => Ok(()),
    }
}

/// Writes warnings to stderr.
pub(super) fn warn(warnings: &[String]) {
    tell(&warnings.iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>());
}

/// Writes `lines` to stderr.
pub(super) fn tell(lines: &[String]) {
    let mut stderr = io::stderr().lock();
    for line in lines {
        // With a closed stderr there is no place to report that.
        writeln!(stderr, "{line}").unwrap_or_default();
    }
}

/// Mistakes in what the user gave, one a line.
pub(super) fn refused(findings: &Findings) -> Failure {
    let message = match findings.0.as_slice() {
        [only] => only.to_string(),
        several => {
            let lines: Vec<String> = several.iter().map(|finding| format!("\n  {finding}")).collect();
            format!("{} mistakes, nothing was written:{}", several.len(), lines.concat())
        }
    };
    let hint = "`bootkube config defaults` explains every field, `bootkube render --help` every flag";
    Failure { class: ExitClass::Configuration, message, hint: Some(hint.into()) }
}

/// Certificates that cannot be made: mostly for a mistake in a file of the user's.
pub(super) fn refused_pki(error: pki::Error) -> Failure {
    match error {
        pki::Error::Findings(findings) => refused(&findings),
        error => Failure::new(ExitClass::General, &error),
    }
}

/// Objects that cannot be rendered. What makes them so is data of the configuration file, which the
/// failure names.
pub(super) fn refused_render(config_file: &str, error: render::Error) -> Failure {
    match error {
        render::Error::Unfit(Findings(mut findings)) => {
            for finding in &mut findings {
                finding.field = format!("{config_file}: {}", finding.field);
            }
            refused(&Findings(findings))
        }
        error => {
            let failure = Failure::new(ExitClass::Configuration, &error);
            let message = format!("{config_file}: {}", failure.message);
            Failure { message, ..failure }.hint("`bootkube config defaults` shows how a patch is written")
        }
    }
}

/// A runtime for asynchronous work.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.map_err(|error| Failure::new(ExitClass::General, &error))
}

/// A number with its noun, such as `2 problems`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
