//! The page `git-pggit.1`, which `git pggit --help` shows.

use super::page::Page;
use crate::config::{COMMITTED_FILE, KEYS};
use crate::failure::Code;
use crate::ledger::{NOTES_REF, REFS_PREFIX};

const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "Set up a repository of migrations, add a database, and check the setup:",
        &[
            "git pggit init",
            "git pggit database add main --url postgresql://backup@db.example/shop --output /backups",
            "git pggit doctor",
        ],
    ),
    ("After a migration, record its commit in the database:", &["git pggit mark"]),
    (
        "Show backups with plain git:",
        &[
            "git log",
            "git log --graph --all --oneline",
            "git log --first-parent <commit>..refs/backups/<commit>",
        ],
    ),
];

/// Adds to the description of the program.
pub(super) fn description(page: &mut Page) {
    page.paragraph(
        "PostgreSQL's own programs make the backups. The backups are ordinary files, which these programs can read \
         without `git pggit`. Git keeps the record of each backup: its database, its commit of the schema, its time, \
         its author, its location and its verifications.",
    );
}

/// Adds the section of all commands.
pub(super) fn commands(page: &mut Page, command: &clap::Command) {
    page.section("COMMANDS");
    page.paragraph(
        "`git pggit <command> -h` lists the arguments of a command; its manual page describes it in full.",
    );
    list(page, command, "git pggit");
}

/// Adds the sections after the options.
pub(super) fn sections(page: &mut Page) {
    configuration(page);
    environment(page);
    files(page);
    exit_status(page);
    page.section("EXAMPLES");
    for (text, lines) in EXAMPLES {
        page.paragraph(text);
        page.verbatim(lines.iter().copied());
    }
}

/// Adds one line for each leaf command below `command`, whose full name is `name`.
pub(super) fn list(page: &mut Page, command: &clap::Command, name: &str) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{name} {}", sub.get_name());
        if sub.has_subcommands() {
            list(page, sub, &name);
        } else {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            page.item(&name, &format!("{about}."));
        }
    }
}

fn configuration(page: &mut Page) {
    page.section("CONFIGURATION");
    page.paragraph(
        "Settings are git's own configuration, in the section `pggit`: `git config pggit.<key>` for the whole \
         repository, `git config pggit.<database>.<key>` for one database. `git pggit config` shows each of them \
         with its value and its origin, `git pggit config --list-keys` lists all keys.",
    );
    page.paragraph(&format!(
        "The committed file `{COMMITTED_FILE}` may hold the settings of a team, but no setting that names a program, \
         a directory or a host. Passwords are refused everywhere: put them into `~/.pgpass`, a service file or \
         `PGPASSWORD`."
    ));
}

fn environment(page: &mut Page) {
    page.section("ENVIRONMENT");
    for key in KEYS {
        if let Some(variable) = key.environment {
            page.item(variable, &format!("Overrides `{}`.", key.pattern()));
        }
    }
    page.item(
        "PGHOST, PGPORT, PGUSER, PGPASSWORD, PGSERVICE, ...",
        "libpq's variables apply to parameters that the URL of a database does not set.",
    );
    page.item(
        "GIT_DIR, GIT_WORK_TREE, GIT_AUTHOR_NAME, ...",
        "Git's own variables have the same meaning as for git.",
    );
    page.item("GIT_PAGER, PAGER, NO_COLOR", "The pager for long output, and output without colours.");
}

fn files(page: &mut Page) {
    page.section("FILES");
    page.item(
        &format!("{REFS_PREFIX}<commit>"),
        "The records of the backups of that commit of the schema history.",
    );
    page.item(NOTES_REF, "The notes about backups that `git log` shows.");
    page.item("refs/pggit/remotes/<remote>/", "The records of other clones, fetched by `git fetch`.");
    page.item(COMMITTED_FILE, "Settings that are committed with the schema.");
    page.item(".git/pggit/", "Caches and other local files of this clone.");
    page.item("~/.pgpass", "Passwords for libpq.");
}

fn exit_status(page: &mut Page) {
    page.section("EXIT STATUS");
    page.paragraph("With `--json` the name is the `code` of the error on standard error.");
    for row in Code::ALL {
        page.item(&format!("{} ({})", row.status, row.name), row.meaning);
    }
}
