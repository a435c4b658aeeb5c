//! Errors before a tool works on a backup, and errors of a store that a tool passes on.

use std::io;

use crate::{config, store, tools};

/// An error of the room `artifacts`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The configured tool is unknown.
    #[error("there is no tool `{name}`")]
    UnknownTool {
        /// The configured name.
        name: String,
    },
}

impl Error {
    /// Returns true if the same call may succeed later with the same configuration.
    pub fn retry(&self) -> bool {
        match self {
            Self::Config(error) => error.retry(),
            Self::UnknownTool { .. } => false,
        }
    }
}

/// Returns the error of the store that a tool has read from or written to, if `error` is one, or else
/// the error of the tool.
pub fn of_store<E: From<store::Error> + From<tools::Error>>(error: tools::Error) -> E {
    use tools::Error::{Place, Read, Write};
    let stored = |source: io::Error, other: &dyn Fn(io::Error) -> tools::Error| {
        source.downcast::<store::Error>().map_or_else(|source| other(source).into(), E::from)
    };
    match error {
        Write { program, source } => stored(source, &|source| Write { program, source }),
        Read { program, source } => stored(source, &|source| Read { program, source }),
        Place(source) => stored(source, &Place),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Program;

    #[derive(Debug, thiserror::Error)]
    enum Either {
        #[error(transparent)]
        Store(#[from] store::Error),
        #[error(transparent)]
        Tools(#[from] tools::Error),
    }

    #[test]
    fn an_error_of_the_store_comes_back_through_the_tool() {
        let full = || io::Error::other(store::Error::Full { path: "/x".into() });
        let program = Program::PgDump;
        for error in [
            tools::Error::Write { program, source: full() },
            tools::Error::Read { program, source: full() },
            tools::Error::Place(full()),
        ] {
            assert!(matches!(of_store(error), Either::Store(store::Error::Full { .. })));
        }
        let pipe = tools::Error::Write { program, source: io::ErrorKind::BrokenPipe.into() };
        assert!(matches!(of_store(pipe), Either::Tools(tools::Error::Write { .. })));
        let place = tools::Error::Place(io::ErrorKind::NotFound.into());
        assert!(matches!(of_store(place), Either::Tools(tools::Error::Place(_))));
    }
}
