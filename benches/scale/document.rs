//! The report: the tables, where they were measured, and what they do not say.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::Command;
use std::{env, fs, thread};

use crate::report::Table;

const LIMITS: &str = "\
## What the numbers do not say

- **Other machines.** A compare-and-swap of 128 bits costs differently on each processor, and caches
  decide what a million workers cost. Ratios hold better than times; measure on yours.
- **More cores.** With more threads than cores, threads take turns rather than meet: contention is
  rarer than the number of threads suggests, and the tail is the system's time slice.
- **Several sockets (NUMA).** A line that two sockets write costs several times one of two cores.
- **Other architectures.** On AArch64 the 128-bit word is another instruction, and orderings that are
  free on x86-64 are not.
- **A host's caches.** The pairs run back to back, one reservation alive unless a row says more. A
  host does something else in between and finds less of the engine in its caches.
- **Other policies.** All rows are by affinity, the default.
";

fn first_line(text: &str) -> Option<String> {
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// What a program prints first, if there is the program and it succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    first_line(&String::from_utf8_lossy(&text))
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

/// How this program was called, the way to call it again.
fn command() -> String {
    let mut command = "cargo bench --bench scale".to_owned();
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench").peekable();
    if arguments.peek().is_some() {
        command.push_str(" --");
    }
    for argument in arguments {
        command.push(' ');
        command.push_str(&argument);
    }
    command
}

pub fn write(path: &Path, tables: &[Table]) -> io::Result<()> {
    let unknown = || "unknown".to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let facts = [
        ("processor", processor().unwrap_or_else(unknown)),
        ("cores", thread::available_parallelism().map_or_else(|_| unknown(), |n| n.to_string())),
        ("system", format!("{} on {}", env::consts::OS, env::consts::ARCH)),
        ("kernel", kernel.as_deref().and_then(first_line).unwrap_or_else(unknown)),
        ("compiler", said("rustc", &["--version"]).unwrap_or_else(unknown)),
        (
            "commit",
            said("git", &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
                .unwrap_or_else(unknown),
        ),
        ("command", format!("`{}`", command())),
    ];
    let mut text = String::from(
        "# Benchmarks\n\nWritten by the command below. A bare pair is the unit: load and \
         compare-and-swap there and back of a 64-bit word that nobody else touches. Ratios are \
         medians of ratios within a round, so that what drifts in a machine drops out. The second \
         unit is a reservation and its release, by ticket, on 20 empty workers.\n\n\
         | | |\n| --- | --- |\n",
    );
    // Writing to a string does not fail.
    for (what, fact) in facts {
        let _ = writeln!(text, "| {what} | {fact} |");
    }
    let _ =
        write!(text, "\n{LIMITS}\n## Cost against workers\n\n![cost against workers](scale.svg)\n");
    for table in tables {
        let _ = write!(text, "\n## {}\n\n{table}", table.title);
    }
    fs::write(path, text)
}
