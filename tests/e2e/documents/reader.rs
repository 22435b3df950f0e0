//! A reader of the documents: a shell on a machine, into which commands are typed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};

use lab::Machine;

/// A script that is being typed, and the line that ends its output.
const TYPED: &str = "/tmp/typed.sh";
const END: &str = "--- the end of what was typed ---";

/// A shell on a machine. What a script exports, and the folder that it changes to, hold for the next
/// script, too.
pub struct Reader {
    machine: Machine,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    /// Opens a shell in `folder`.
    pub fn at(machine: &Machine, folder: &str) -> Self {
        let mut shell = machine.spawn(&["bash", "-eu"]).unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        let mut reader = Self { machine: machine.clone(), shell, input, output };
        reader.types(&format!("exec 2>&1\ncd {folder}\n"));
        reader
    }

    /// Types a script to its end, and returns what it printed. If a command fails, the shell ends,
    /// and the test with it.
    pub fn types(&mut self, script: &str) -> String {
        self.machine.write(TYPED, script.as_bytes(), 0o600).unwrap();
        // A command that reads its standard input must not read what is typed next.
        writeln!(self.input, ". {TYPED} </dev/null\nprintf '\\n%s\\n' '{END}'").unwrap();
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                let status = self.shell.wait().unwrap();
                panic!("{status}:\n{script}\n{printed}");
            }
            if line.trim_end() == END {
                return printed.strip_suffix('\n').unwrap_or(&printed).to_owned();
            }
            printed += &line;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Err(error) = self.shell.kill().and_then(|()| self.shell.wait()) {
            eprintln!("e2e: the reader's shell: {error}");
        }
    }
}
