//! The bootkube command: runs the command line and turns a failure into a message and an exit code.

use std::io::Write;
use std::process::ExitCode;

use bootkube::cli;

fn main() -> ExitCode {
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    debug_assert!(installed.is_ok(), "nobody else installs a provider");
    match cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed stderr leaves the exit code, which says the same.
            writeln!(std::io::stderr(), "error: {failure}").unwrap_or_default();
            ExitCode::from(failure.class as u8)
        }
    }
}
