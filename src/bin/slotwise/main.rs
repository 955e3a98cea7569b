//! `slotwise`: shows the engine at work. `replay` places a recorded cluster's requests, `churn`
//! reserves and releases under load, `generate` writes input for `replay`.
//!
//! Exit status: 0 done and every check held; 1 a check failed; 2 unusable arguments or input.

mod churn;
mod failure;
mod generate;
mod plot;
mod replay;
mod report;
mod rng;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The slotwise scheduling engine at work.
///
/// Exit status: 0 done and every check held; 1 a check failed; 2 unusable arguments or input.
#[derive(Parser)]
#[command(name = "slotwise", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Replay(replay::Args),
    Churn(churn::Args),
    Generate(generate::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Replay(args) => replay::run(&args),
        Command::Churn(args) => churn::run(&args),
        Command::Generate(args) => generate::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // As with stdout: a reader who has gone away is no reason to panic.
            let _ = report::write_all(&mut std::io::stderr(), &format!("{failure}\n"));
            failure.exit_code()
        }
    }
}
