//! Writes the manual pages of bootkube and of each subcommand into the folder given: `make man`.
//!
//! They come from the same definition as `--help`. This is an example of the library rather than a subcommand,
//! so that the shipped program does not carry a generator that only packagers run.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: man FOLDER");
        return ExitCode::from(2);
    };
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| clap_mangen::generate_to(bootkube::cli::command(), &folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: failed to write manual pages to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
