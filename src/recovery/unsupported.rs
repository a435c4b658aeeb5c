//! Files that this program cannot run as migrations, and the reasons.

use std::fmt;

use crate::tools::UndoPart;

/// The maximum number of files that are named. The other files are only counted.
const SHOWN_MAX: usize = 5;

/// A file that this program cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedFile {
    /// The path in the repository.
    pub path: String,
    /// The reason.
    pub why: UnsupportedReason,
}

/// The reason why a file cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsupportedReason {
    /// The file is in a subdirectory of the migrations directory.
    Below,
    /// The name of the file does not end with `.sql`.
    NotSql,
    /// The file is a symbolic link.
    Symlink,
    /// The entry is a submodule.
    Submodule,
    /// The name of the file is not UTF-8.
    NotUtf8,
    /// The name of the file says that it undoes another file.
    Undoes,
    /// The file is a repeatable migration, which runs again after each change.
    Repeatable,
    /// The file is a baseline, which replaces the migrations before it.
    Baseline,
    /// The file is a callback, which runs before or after other migrations.
    Callback,
    /// The file has a part that undoes the rest of the file.
    UndoPart(UndoPart),
    /// The migration tool has to run it, or would refuse it.
    ByTool(String),
}

impl fmt::Display for UnsupportedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "it is in a subdirectory",
            Self::NotSql => "it is not a *.sql file",
            Self::Symlink => "it is a symbolic link",
            Self::Submodule => "it is a submodule",
            Self::NotUtf8 => "its name is not UTF-8",
            Self::Undoes => "by its name it undoes a migration",
            Self::Repeatable => "by its name it is a repeatable migration",
            Self::Baseline => "by its name it is a baseline",
            Self::Callback => "by its name it is a callback",
            Self::ByTool(reason) => reason,
            Self::UndoPart(UndoPart { line, text }) => {
                return write!(f, "line {line} begins a part that undoes it ('{text}')");
            }
        })
    }
}

/// Returns a text with the files and the reasons.
pub(super) fn named(files: &[UnsupportedFile]) -> String {
    match files {
        [UnsupportedFile { path, why }] => format!("{path} cannot be run: {why}"),
        files => {
            let each = files.iter().map(|UnsupportedFile { path, why }| format!("{path} ({why})"));
            format!("{} files cannot be run: {}", files.len(), listed(each))
        }
    }
}

/// Returns a text with the first elements and the number of others.
pub(super) fn listed(all: impl ExactSizeIterator<Item = impl fmt::Display>) -> String {
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut text: Vec<String> = all.take(SHOWN_MAX).map(|one| one.to_string()).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let unfit = |n: usize| UnsupportedFile { path: format!("m/{n}.rb"), why: UnsupportedReason::NotSql };
        assert_eq!(named(&[unfit(1)]), "m/1.rb cannot be run: it is not a *.sql file");
        let said = named(&(0..7).map(unfit).collect::<Vec<_>>());
        assert!(
            said.starts_with("7 files cannot be run: m/0.rb (it is not a *.sql file), m/1.rb ("),
            "{said}"
        );
        assert!(said.ends_with("m/4.rb (it is not a *.sql file), and 2 more"), "{said}");
    }
}
