//! The usual command of a migration tool, for tools whose migrations only they can run. Pure functions.
//!
//! The command runs code of the commit. Therefore it is used only if the user's own configuration names the
//! tool.

use crate::migrations::{Layout, Tool, join};

/// The usual command of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsualCommand {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The working directory in the tree of the commit; empty for the root.
    pub directory: String,
}

/// Returns the command with which a team usually runs the migrations of `layout`. `has_file` tells whether the
/// commit has a file. Returns `None` if there is no usual command, or if the file that it needs is missing.
pub(super) fn usual_command(layout: &Layout, has_file: &dyn Fn(&str) -> bool) -> Option<UsualCommand> {
    let (words, file): (&[&str], &[&str]) = match layout.tool {
        Tool::Rails => (&["bundle", "exec", "rails", "db:migrate"], &["Gemfile"]),
        Tool::Django => (&["python3", "manage.py", "migrate", "--noinput"], &["manage.py"]),
        Tool::Alembic => (&["alembic", "upgrade", "heads"], &["alembic.ini"]),
        Tool::Ecto => (&["mix", "ecto.migrate"], &["mix.exs"]),
        Tool::Knex => (
            &["npx", "--no-install", "knex", "migrate:latest"],
            &["knexfile.js", "knexfile.ts", "knexfile.cjs", "knexfile.mjs"],
        ),
        Tool::SeaOrm => (&["cargo", "run", "--", "up"], &["Cargo.toml"]),
        // The database is in the variables of libpq.
        Tool::Sqitch => (&["sqitch", "deploy", "db:pg:"], &["sqitch.plan"]),
        Tool::GraphileMigrate => {
            (&["npx", "--no-install", "graphile-migrate", "migrate"], &[".gmrc", ".gmrc.js", ".gmrc.cjs"])
        }
        _ => return None,
    };
    // The file is in the directory of the migrations, or in one above it.
    let mut at = Some(layout.directory.as_str());
    while let Some(directory) = at {
        if file.iter().any(|name| has_file(&join(directory, name))) {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            return Some(UsualCommand { words, directory: directory.to_owned() });
        }
        at = match directory {
            "" => None,
            directory => Some(directory.rsplit_once('/').map_or("", |(parent, _)| parent)),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_runs_in_the_directory_of_its_project() {
        let command = |tool, directory: &str, file: &str| {
            let layout = Layout { tool, directory: directory.to_owned(), evidence: String::new() };
            usual_command(&layout, &|path| path == file)
                .map(|command| (command.words.join(" "), command.directory))
        };
        let found = |words: &str, directory: &str| Some((words.to_owned(), directory.to_owned()));
        assert_eq!(
            command(Tool::Alembic, "app/alembic/versions", "app/alembic.ini"),
            found("alembic upgrade heads", "app")
        );
        assert_eq!(command(Tool::Sqitch, "", "sqitch.plan"), found("sqitch deploy db:pg:", ""));
        assert_eq!(command(Tool::Django, "", "src/manage.py"), None);
        assert_eq!(command(Tool::TypeOrm, "src/migrations", "package.json"), None);
        assert_eq!(command(Tool::Sqlx, "migrations", "Cargo.toml"), None);
    }
}
