//! `git pggit database check`

use std::path::PathBuf;

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::database::{DatabaseCheck, ProgramOutput};
use crate::pg::{Client, ServerFacts};
use crate::tools::{self, Program, ToolVersion};
use crate::workspace::connect;

/// Check the connection to a database
///
/// Connects as a backup does, and shows the server, the size of the database, its
/// mark, and the client programs for the server. Nothing is changed. 'git pggit
/// doctor' makes more checks, and suggests remedies.
///
/// Fails with 'database-unreachable' without a connection, and with 'tool-failed'
/// if a program that backups need is missing or too old.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database; by default the one marked with '*' in the list
    name: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit database check
    git pggit database check stats --json";

/// The programs that every dump requires.
const NEEDED: [Program; 3] = [Program::PgDump, Program::PgDumpall, Program::PgRestore];

type FoundPrograms = Vec<(Program, Result<(PathBuf, ToolVersion), tools::Error>)>;

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let database = config.selected(args.name.as_deref())?;
    let client = connect::connect(context, &database)?;
    let facts = client.facts()?;
    let mark = client.read_mark()?;
    let programs = context.programs()?.for_server(facts.major);
    let found: FoundPrograms = NEEDED.iter().map(|program| (*program, programs.find(*program))).collect();
    context.paged(&output(database.name.as_str(), &client, &facts, mark.as_deref(), &found))?;
    // The result is printed first, then the error about a missing program.
    found.into_iter().find_map(|(_, found)| found.err()).map_or(Ok(()), |error| Err(error.into()))
}

fn output(
    name: &str,
    client: &Client,
    facts: &ServerFacts,
    mark: Option<&str>,
    found: &FoundPrograms,
) -> DatabaseCheck {
    let info = client.conninfo();
    let programs = found.iter().map(|(program, found)| {
        let (program, found) = (program.name().to_owned(), found.as_ref());
        ProgramOutput {
            program,
            path: found.ok().map(|(path, _)| path.to_string_lossy().into_owned()),
            version: found.ok().map(|(_, version)| version.text.clone()),
            error: found.err().map(ToString::to_string),
        }
    });
    DatabaseCheck {
        name: name.to_owned(),
        dbname: info.dbname().to_owned(),
        target: client.target().to_string(),
        user: info.user().to_owned(),
        superuser: facts.is_superuser,
        server_version: facts.version_text.clone(),
        server_version_num: facts.version_num,
        system_identifier: facts.system_identifier.clone(),
        in_recovery: facts.in_recovery,
        size_bytes: facts.database_size_bytes,
        mark: mark.map(str::to_owned),
        programs: programs.collect(),
    }
}
