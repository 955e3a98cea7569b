//! Why the program did not end well, and the exit status that says so.

use std::{fmt, path::Path, process::ExitCode};

/// One line for stderr.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The arguments or the input cannot be used, or the output cannot be written.
    Unusable(String),
    /// A promise of the engine did not hold.
    Check(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Check(_) => 1,
            Failure::Unusable(_) => 2,
        })
    }

    /// A file that cannot be read or written.
    pub fn file(path: &Path, what: &str, why: impl fmt::Display) -> Failure {
        Failure::Unusable(format!("{}: {what}: {why}", path.display()))
    }

    /// Turns what the checks found into the end of a run.
    pub fn unless_empty(problems: Vec<String>) -> Result<(), Failure> {
        if problems.is_empty() { Ok(()) } else { Err(Failure::Check(problems.join("; "))) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unusable(line) => f.write_str(line),
            Failure::Check(line) => write!(f, "check failed: {line}"),
        }
    }
}
