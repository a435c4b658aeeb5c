//! Restores a commit into a new database: `cargo run --example restore -- v1.9 shop_1_9`
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example prints")]

use std::process::ExitCode;
use std::sync::Arc;

use pggit::clock::System;
use pggit::config::Environment;
use pggit::progress::Quiet;
use pggit::recovery::Error;
use pggit::recovery::restore::{DatabaseDestination, Destination, RestorePlan, RestoreRequest};
use pggit::workspace::{Reporter, Workspace};

/// Prints what the library has to say beside its results.
struct Terminal;

impl Reporter for Terminal {
    fn warning(&self, text: &str) {
        eprintln!("warning: {text}");
    }

    fn hint(&self, text: &str) {
        eprintln!("hint: {text}");
    }

    fn status(&self, text: &str) {
        eprintln!("{text}");
    }
}

fn restore(commit: &str, dbname: &str) -> Result<(), Error> {
    let cwd = std::env::current_dir().unwrap_or_default();
    let workspace = Workspace::new(Arc::new(Terminal), Environment::from_process(), Arc::new(System), cwd);
    let database = DatabaseDestination { name: Some(dbname.to_owned()), ..DatabaseDestination::default() };
    let plan = RestorePlan::new(RestoreRequest::new(commit, Destination::Database(database)), &workspace)?;
    for step in plan.describe()?.steps {
        println!("{}", step.what);
    }
    let outcome = plan.execute(&Quiet)?;
    plan.record(&outcome)?;
    println!("database {dbname} is at commit {}", outcome.commit);
    println!("{}: {}", outcome.proof.level, outcome.proof.text);
    Ok(())
}

fn main() -> ExitCode {
    let (Some(commit), Some(dbname)) = (std::env::args().nth(1), std::env::args().nth(2)) else {
        eprintln!("usage: restore <commit> <new database>");
        return ExitCode::from(2);
    };
    match restore(&commit, &dbname) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
