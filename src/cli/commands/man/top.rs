//! The page `git-pggit.1`, which `git pggit --help` shows.

use super::page::Page;
use crate::config::{COMMITTED_FILE, KEYS};
use crate::failure::Code;
use crate::ledger::{NOTES_REF, REFS_PREFIX};

const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "Set up a repository of migrations, name a database, and look whether all is well:",
        &[
            "git pggit init",
            "git pggit database add main --url postgresql://backup@db.example/shop --output /backups",
            "git pggit doctor",
        ],
    ),
    ("After a migration, record in the database which commit it stands on:", &["git pggit mark"]),
    (
        "See backups with nothing but git:",
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
        "The backups themselves are made by PostgreSQL's own programs and are ordinary files, which those can read \
         without `git pggit`. What is kept in git is the record: what was backed up, from which commit of the \
         schema, when, by whom, where it is, and whether anybody has tried it.",
    );
}

/// Adds the section of all commands.
pub(super) fn commands(page: &mut Page, command: &clap::Command) {
    page.section("COMMANDS");
    page.paragraph("`git pggit <command> -h` says what each of them takes, its page more.");
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
         with its value and the place that sets it, `git pggit config --list-keys` what there is to set.",
    );
    page.paragraph(&format!(
        "The committed file `{COMMITTED_FILE}` may hold what a team agrees on, but nothing that names a program, \
         a directory or a host. Passwords are refused everywhere: they belong into `~/.pgpass`, a service file or \
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
        "All of libpq's variables count for what the URL of a database leaves out.",
    );
    page.item(
        "GIT_DIR, GIT_WORK_TREE, GIT_AUTHOR_NAME, ...",
        "Git's own variables mean what they mean to git.",
    );
    page.item("GIT_PAGER, PAGER, NO_COLOR", "How long output is shown, and that it has no colours.");
}

fn files(page: &mut Page) {
    page.section("FILES");
    page.item(
        &format!("{REFS_PREFIX}<commit>"),
        "The records of the backups of that commit of the schema history.",
    );
    page.item(NOTES_REF, "What `git log` shows of them.");
    page.item("refs/pggit/remotes/<remote>/", "Copies of the records of other clones, made by `git fetch`.");
    page.item(COMMITTED_FILE, "Settings that are committed with the schema.");
    page.item(".git/pggit/", "Caches and other files of this clone alone.");
    page.item("~/.pgpass", "Passwords, as libpq finds them.");
}

fn exit_status(page: &mut Page) {
    page.section("EXIT STATUS");
    page.paragraph("With `--json` the name is the `code` of the error on standard error.");
    for row in Code::ALL {
        page.item(&format!("{} ({})", row.status, row.name), row.meaning);
    }
}
