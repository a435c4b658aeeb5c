//! Defines which options of `restore` and `plan` are valid for each form of restore.
//!
//! Other options are refused. This is checked here and not by clap, because clap drops the
//! requirement of one option for another if that other option conflicts with a third.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches, Id};

use crate::failure::{Code, Failure};

/// The forms of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Restores into a new database.
    Into,
    /// Restores into a new data directory.
    To,
    /// Replaces a database.
    ReplaceDatabase,
    /// Replaces a data directory.
    ReplaceDirectory,
    /// Puts rows back into a table.
    BackInto,
}

impl Form {
    fn words(self) -> &'static str {
        match self {
            Self::Into => "--into",
            Self::To => "--to",
            Self::ReplaceDatabase => "--in-place",
            Self::ReplaceDirectory => "--in-place --to",
            Self::BackInto => "--back-into",
        }
    }
}

use Form::{BackInto, Into, ReplaceDatabase, ReplaceDirectory, To};

const NEW: &[Form] = &[Into, To, ReplaceDatabase, ReplaceDirectory];
const ALL: &[Form] = &[Into, To, ReplaceDatabase, ReplaceDirectory, BackInto];
const REPLACE: &[Form] = &[ReplaceDatabase, ReplaceDirectory];
const DATABASE: &[Form] = &[Into, ReplaceDatabase];
const DIRECTORY: &[Form] = &[To, ReplaceDirectory];

/// The forms for which each option is valid.
const MEANING: [(&str, &[Form]); 38] = [
    ("backup", ALL),
    ("into", DATABASE),
    ("to", DIRECTORY),
    ("in_place", NEW),
    ("mode", NEW),
    ("force", REPLACE),
    ("dry_run", ALL),
    ("disconnect", &[ReplaceDatabase]),
    ("schema", &[Into]),
    ("back_into", &[BackInto]),
    ("where", &[BackInto]),
    ("overwrite", &[BackInto]),
    ("table", &[Into, BackInto]),
    ("from_database", &[Into]),
    ("tablespace_mapping", DIRECTORY),
    ("archive_mode", DIRECTORY),
    ("commit", NEW),
    ("no_migrate", NEW),
    ("check_schema", DIRECTORY),
    ("start", &[To]),
    ("allow_schema_difference", NEW),
    ("allow_unproved", NEW),
    ("tool", ALL),
    ("database", NEW),
    ("from", ALL),
    ("maintenance_db", DATABASE),
    ("globals", DATABASE),
    ("no_owner", DATABASE),
    ("no_privileges", DATABASE),
    ("no_tablespaces", DATABASE),
    ("keep_going", &[Into]),
    ("jobs", DATABASE),
    ("at", DIRECTORY),
    ("lsn", DIRECTORY),
    ("restore_point", DIRECTORY),
    ("xid", DIRECTORY),
    ("to_latest", DIRECTORY),
    ("wal_store", DIRECTORY),
];

const POINT: [&str; 5] = ["at", "lsn", "restore_point", "xid", "to_latest"];

/// Pairs of option groups that exclude each other, because one makes the other meaningless.
const APART: [(&[&str], &[&str]); 9] = [
    // The WAL determines which commit a point in time is at.
    (&POINT, &["commit", "no_migrate", "check_schema", "allow_schema_difference", "allow_unproved"]),
    // Only a whole database is at a commit and compared with its schema.
    (&["schema", "table"], &["commit", "allow_schema_difference", "allow_unproved"]),
    (&["schema"], &["table"]),
    (&["back_into"], &["into", "to"]),
    // The other objects of the dump never prevent the restore of a part.
    (&["schema", "table"], &["keep_going"]),
    // A database that lacks objects is at no commit.
    (&["keep_going"], &["commit", "allow_unproved"]),
    (&["commit"], &["no_migrate"]),
    // Without migrations the database stays at the commit of the backup.
    (&["no_migrate"], &["allow_unproved"]),
    // The server that is started and kept running never archives WAL.
    (&["start"], &["archive_mode"]),
];

/// Parsed arguments, with the ids of those that were given on the command line.
#[derive(Debug)]
pub(crate) struct Given<T> {
    pub(super) args: T,
    ids: Vec<String>,
}

impl<T> Given<T> {
    /// Fails if an option was given that is not valid for `form`.
    pub(super) fn check(&self, form: Option<Form>) -> Result<(), Failure> {
        let has = |id: &str| self.ids.iter().any(|given| given == id);
        for (id, forms) in MEANING.iter().filter(|(id, _)| has(id)) {
            if let Some(form) = form.filter(|form| !forms.contains(form)) {
                let (name, words) = (shown(id), form.words());
                let goes: Vec<&str> = forms.iter().map(|form| form.words()).collect();
                return Err(Failure::new(Code::Usage, format!("{name} cannot be used with {words}"))
                    .hint(format!("use it with {}", goes.join(", "))));
            }
        }
        for (some, others) in APART {
            let both = |ids: &[&'static str]| ids.iter().copied().find(|id| has(id));
            if let (Some(one), Some(other)) = (both(some), both(others)) {
                let (one, other) = (shown(one), shown(other));
                return Err(Failure::new(Code::Usage, format!("{other} cannot be used with {one}")));
            }
        }
        if has("wal_store") && !POINT.iter().any(|id| has(id)) {
            let points = POINT.map(shown).join(", ");
            return Err(Failure::new(Code::Usage, "--wal-store requires a recovery target")
                .hint(format!("use it with {points}")));
        }
        Ok(())
    }
}

fn shown(id: &str) -> String {
    match id {
        "backup" => "a backup or a commit".to_owned(),
        id => format!("--{}", id.replace('_', "-")),
    }
}

impl<T: clap::Args> clap::Args for Given<T> {
    fn group_id() -> Option<Id> {
        T::group_id()
    }

    fn augment_args(cmd: Command) -> Command {
        T::augment_args(cmd)
    }

    fn augment_args_for_update(cmd: Command) -> Command {
        T::augment_args_for_update(cmd)
    }
}

impl<T: FromArgMatches> FromArgMatches for Given<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let given = |id: &&Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        let ids = matches.ids().filter(given).map(ToString::to_string).collect();
        Ok(Self { args: T::from_arg_matches_mut(matches)?, ids })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::super::{plan, restore};
    use super::*;

    /// The forms for which each option is valid. Columns: --into, --to, --in-place, --in-place with
    /// --to, --back-into. (--to turns the third form into the fourth.)
    const EXPECTED: &str = "
        backup                   x x x x x
        into                     x - x - -
        to                       - x x x -
        in_place                 x x x x -
        mode                     x x - - -
        force                    - - x x -
        dry_run                  x x x x x
        disconnect               - - x - -
        schema                   x - - - -
        back_into                - - - - x
        where                    - - - - x
        overwrite                - - - - x
        table                    x - - - x
        from_database            x - - - -
        tablespace_mapping       - x - x -
        archive_mode             - x - x -
        commit                   x x x x -
        no_migrate               x x x x -
        check_schema             - x - x -
        start                    - x - - -
        allow_schema_difference  x x x x -
        allow_unproved           x x x x -
        tool                     x x x x x
        database                 x x x x -
        from                     x x x x x
        maintenance_db           x - x - -
        globals                  x - x - -
        no_owner                 x - x - -
        no_privileges            x - x - -
        no_tablespaces           x - x - -
        keep_going               x - - - -
        jobs                     x - x - -
        at                       - x - x -
        lsn                      - x - x -
        restore_point            - x - x -
        xid                      - x - x -
        to_latest                - x - x -
        wal_store                - x - x -";

    /// The minimal arguments of each form, in the order of the columns.
    const FORMS: [&[&str]; 5] = [
        &["b", "--into=d"],
        &["b", "--to=/d"],
        &["b", "--in-place"],
        &["b", "--in-place", "--to=/d"],
        &["b", "--table=s.t", "--back-into=v"],
    ];

    fn value_of(id: &str) -> Option<&'static str> {
        Some(match id {
            "mode" => "clone",
            "table" => "s.t",
            "to" => "/d",
            "tablespace_mapping" => "/a=/b",
            "archive_mode" => "off",
            "lsn" => "0/1",
            "xid" => "7",
            "jobs" => "2",
            _ => return None,
        })
    }

    fn written(arg: &clap::Arg) -> String {
        let value = value_of(arg.get_id().as_str()).unwrap_or("v");
        match (arg.get_long(), arg.get_action().takes_values()) {
            (None, _) => value.to_owned(),
            (Some(long), true) => format!("--{long}={value}"),
            (Some(long), false) => format!("--{long}"),
        }
    }

    type Outcome = Result<(), (u8, String)>;

    fn restore(line: &[String]) -> Outcome {
        let command = Given::<restore::Args>::augment_args(Command::new("restore"));
        let parsed = command.try_get_matches_from([&["restore".to_owned()], line].concat());
        let parsed = parsed.and_then(|matches| Given::<restore::Args>::from_arg_matches(&matches));
        let given = parsed.map_err(|error| (Code::Usage.status(), error.to_string()))?;
        given.check(given.args.form()).map_err(|refused| (refused.status(), refused.message().to_owned()))
    }

    fn plan(line: &[String]) -> Outcome {
        let command = Given::<plan::Args>::augment_args(Command::new("plan"));
        let parsed = command.try_get_matches_from([&["plan".to_owned()], line].concat());
        let parsed = parsed.and_then(|matches| Given::<plan::Args>::from_arg_matches(&matches));
        let given = parsed.map_err(|error| (Code::Usage.status(), error.to_string()))?;
        given.check(given.args.form()).map_err(|refused| (refused.status(), refused.message().to_owned()))
    }

    #[test]
    fn each_option_counts_in_each_mode_or_is_refused_by_name() {
        let expected = |id: &str, column: usize| {
            let line = EXPECTED.lines().find(|line| line.split_whitespace().next() == Some(id));
            let line = line.unwrap_or_else(|| panic!("it is not said where '{id}' counts"));
            line.split_whitespace().nth(1 + column) == Some("x")
        };
        let commands = [
            (Given::<restore::Args>::augment_args(Command::new("x")), restore as fn(&[String]) -> Outcome, 5),
            // A plan shows no rows.
            (Given::<plan::Args>::augment_args(Command::new("x")), plan, 4),
        ];
        for (command, outcome, forms) in commands {
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                for (column, form) in FORMS.iter().take(forms).enumerate() {
                    let mut line: Vec<String> = form.iter().map(|word| (*word).to_owned()).collect();
                    let option = written(arg);
                    let name = option.split('=').next().unwrap_or_default();
                    let is_there = line.iter().any(|word| word.split('=').next() == Some(name));
                    match id {
                        "backup" => {}
                        _ if is_there => {}
                        _ => line.push(option.clone()),
                    }
                    if id == "wal_store" {
                        line.push("--to-latest".to_owned());
                    }
                    match (expected(id, column), outcome(&line)) {
                        (true, Ok(())) => {}
                        (false, Err((129, said))) => {
                            let names = if id == "backup" { "a backup" } else { name };
                            // wal_store requires --to-latest, which may be the first option to be
                            // refused.
                            let names_point = id == "wal_store" && said.contains("--to-latest");
                            assert!(said.contains(names) || names_point, "{line:?}: {said}");
                        }
                        (counts, other) => panic!("{id} in {line:?}: counts: {counts}, and {other:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn options_that_leave_each_other_without_a_meaning_are_refused() {
        let refused = |line: &[&str]| {
            let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            let (status, said) = restore(&line).unwrap_err();
            assert_eq!(status, 129, "{line:?}");
            said
        };
        let points = ["--at=1d", "--lsn=0/1", "--restore-point=p", "--xid=7", "--to-latest"];
        for point in points {
            for other in ["--commit=c", "--no-migrate", "--check-schema", "--allow-schema-difference"] {
                let said = refused(&["b", "--to=/d", point, other]);
                assert!(said.contains(other.split('=').next().unwrap()), "{said}");
            }
            for other in point_but(point) {
                refused(&["b", "--to=/d", point, other]);
            }
        }
        for part in ["--schema=s", "--table=s.t"] {
            for other in ["--commit=c", "--allow-schema-difference", "--keep-going"] {
                refused(&["b", "--into=d", part, other]);
            }
        }
        refused(&["b", "--into=d", "--schema=s", "--table=s.t"]);
        refused(&["b", "--into=d", "--commit=c", "--no-migrate"]);
        refused(&["b", "--into=d", "--commit=c", "--keep-going"]);
        refused(&["b", "--into=d", "--to=/d"]);
        refused(&["b", "--to=/d", "--start", "--archive-mode=off"]);
        refused(&["b", "--to=/d", "--wal-store=s3://b/p"]);
        for unfinished in [&["list"][..], &["resume", "x"], &["abort"], &["finish"]] {
            assert!(restore(&unfinished.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).is_ok());
            for option in ["--at=1d", "--in-place", "--force", "--into=d"] {
                refused(&[unfinished, &[option]].concat());
            }
        }
        refused(&["list", "--disconnect"]);
    }

    fn point_but(one: &str) -> impl Iterator<Item = &'static str> {
        let all = ["--at=1d", "--lsn=0/1", "--restore-point=p", "--xid=7", "--to-latest"];
        all.into_iter().filter(move |other| *other != one)
    }
}
