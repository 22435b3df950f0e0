//! The bootkube command: runs the command line and turns a failure into a message and an exit code.

use std::io::Write;
use std::process::ExitCode;

use bootkube::cli;

fn main() -> ExitCode {
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    debug_assert!(installed.is_ok(), "no other provider is installed");
    match cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With a closed stderr, the exit code still reports the failure.
            writeln!(std::io::stderr(), "error: {failure}").unwrap_or_default();
            ExitCode::from(failure.class as u8)
        }
    }
}
