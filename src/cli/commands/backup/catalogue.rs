//! The options for tool and database shared by `import` and `reconcile`.

use crate::artifacts;
use crate::cli::Context;
use crate::config::{DatabaseConfig, Origin, Setting, Tool, plain_name};
use crate::failure::{Code, Failure};
use crate::tools::Adapter;
use crate::workspace::connect;

/// The catalogue of a tool.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// The configured database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The tool: pgbackrest, barman, or a custom tool; by default the configured one
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,

    /// The stanza in pgBackRest, instead of the configured one
    #[arg(long, value_name = "STANZA")]
    stanza: Option<String>,

    /// The server in Barman, instead of the configured one
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,
}

impl Where {
    /// Returns the database and the adapter of its tool. Fails if the database or the tool is unknown.
    pub(super) fn find(&self, context: &Context) -> Result<(DatabaseConfig, Box<dyn Adapter>), Failure> {
        let config = context.config()?;
        let mut database = config.selected(self.database.as_deref())?;
        if let Some(tool) = &self.tool {
            let value = tool
                .parse::<Tool>()
                .map_err(|()| Failure::new(Code::Usage, format!("{tool:?} is not a valid name of a tool")))?;
            database.tool = Setting { value, origin: Origin::CommandLine };
        }
        let given = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match plain_name(text) {
                Some(value) => Ok(Some(Setting { value, origin: Origin::CommandLine })),
                None => Err(Failure::new(
                    Code::Usage,
                    format!("{text:?} is not a valid name of a stanza or server"),
                )),
            },
        };
        database.stanza = given(&self.stanza)?.or(database.stanza);
        database.barman_server = given(&self.server)?.or(database.barman_server);
        let server = connect::conninfo(context, &database)?;
        let programs = context.programs()?;
        let adapter = artifacts::adapter_for(config, &database, &server, &programs)?;
        Ok((database, adapter))
    }
}
