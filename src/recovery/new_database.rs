//! Restores into a new database.

use std::fmt;
use std::time::Duration;

use backon::{BlockingRetryable as _, ConstantBuilder};

use crate::domain::{Digest, Line, Postgres, Setting};
use crate::pg::{Client, ConnInfo, Error as PgError, NAME_BYTES_MAX, Template, check_name, quote_ident};

use super::Error;

const SUFFIX: &str = "~pggit";
const COMMENT: &str = "git-pggit: being restored";
const APPLICATION: &str = "git-pggit";
/// The maximum number of temporary names for one database.
const NAMES_MAX: usize = 5;

/// The plan of a restore into a new database. The described steps are the executed steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    database: String,
    temporary: String,
    comment: String,
    migrations: Vec<String>,
    proof: Option<String>,
    mask: Option<String>,
    commit: Option<String>,
    properties: bool,
    label: Option<String>,
    settings: Vec<Setting>,
    template: Template,
}

/// A step of a [`Plan`]. The last two steps are one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseStep {
    /// Create the temporary database.
    Create {
        /// The temporary name.
        temporary: String,
    },
    /// Set the comment that identifies the temporary database.
    Comment {
        /// The text of the comment.
        comment: String,
    },
    /// Load the backup into the temporary database.
    Load,
    /// Set the settings of the original database until the migrations have run.
    Lend {
        /// The settings.
        settings: Vec<Setting>,
    },
    /// Run migrations in the temporary database.
    Migrate {
        /// The names of the migrations, in order.
        migrations: Vec<String>,
    },
    /// Compare the schema with the expected schema.
    Prove {
        /// The source of the expected schema.
        against: String,
    },
    /// Set the owner, the settings, the connection limit and the privileges of the original database.
    Properties,
    /// Run the script that masks confidential data.
    Mask {
        /// The name of the script.
        script: String,
    },
    /// Record the commit in the database.
    Mark {
        /// The commit.
        commit: String,
    },
    /// Give the database its final name and remove the comment.
    Rename {
        /// The final name.
        database: String,
    },
}

impl fmt::Display for DatabaseStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { temporary } => write!(f, "create database {}", quote_ident(temporary)),
            Self::Comment { comment } => write!(f, "comment on it: {comment}"),
            Self::Load => write!(f, "load the backup"),
            Self::Lend { settings } => {
                let names: Vec<&str> = settings.iter().map(|setting| setting.name.as_str()).collect();
                write!(f, "set {} in it until the migrations have run", names.join(", "))
            }
            Self::Migrate { migrations } => write!(f, "run {}", migrations.join(", ")),
            Self::Prove { against } => write!(f, "compare its schema with {against}"),
            Self::Properties => {
                write!(f, "set its owner, comment, settings, connection limit and privileges")
            }
            Self::Mask { script } => write!(f, "run {script} before anybody can connect"),
            Self::Mark { commit } => write!(f, "mark it with commit {commit}"),
            Self::Rename { database } => write!(f, "rename it to {}", quote_ident(database)),
        }
    }
}

impl Plan {
    /// Returns the plan to restore a backup as the database `database`, and to mark that with
    /// `commit`. The text `backup` is only used in messages and comments.
    pub fn new(database: &str, backup: &str, commit: Option<&str>, template: Template) -> Self {
        Self {
            database: database.to_owned(),
            temporary: with_suffix(database, SUFFIX),
            comment: format!("{COMMENT} from backup {backup} as {}", quote_ident(database)),
            migrations: Vec::new(),
            proof: None,
            mask: None,
            properties: false,
            label: None,
            settings: Vec::new(),
            commit: commit.map(str::to_owned),
            template,
        }
    }

    /// Returns the plan with these migrations after the load.
    #[must_use]
    pub fn then_migrate(self, migrations: Vec<String>) -> Self {
        Self { migrations, ..self }
    }

    /// Returns the plan with a final schema comparison. `against` describes the expected schema.
    #[must_use]
    pub fn then_prove(self, against: Option<String>) -> Self {
        Self { proof: against, ..self }
    }

    /// Returns the plan with the script `name`, which masks confidential data before anyone can
    /// connect.
    #[must_use]
    pub fn then_mask(self, name: Option<String>) -> Self {
        Self { mask: name, ..self }
    }

    /// Returns the plan with the properties of the original database at the end.
    #[must_use]
    pub fn then_properties(self, properties: bool) -> Self {
        Self { properties, ..self }
    }

    /// Returns the plan with these settings of the original database while migrations run. Only
    /// settings for all roles or for `role` are included.
    #[must_use]
    pub fn with_settings(self, settings: &[Setting], role: &str) -> Self {
        let applies = |setting: &&Setting| setting.role.as_deref().is_none_or(|one| one == role);
        Self { settings: settings.iter().filter(applies).cloned().collect(), ..self }
    }

    /// Returns the plan with a final comment for the database.
    #[must_use]
    pub fn labelled(self, label: Option<String>) -> Self {
        Self { label, ..self }
    }

    /// Returns the name of the database until it is complete.
    pub fn temporary(&self) -> &str {
        &self.temporary
    }

    /// Returns the plan with each of its temporary names.
    fn numbered(&self) -> impl Iterator<Item = Self> {
        (1..=NAMES_MAX).map(|number| match number {
            1 => self.clone(),
            number => {
                let temporary = with_suffix(&self.database, &format!("~{number}{SUFFIX}"));
                Self { temporary, ..self.clone() }
            }
        })
    }

    /// Returns the steps in order.
    pub fn steps(&self) -> Vec<DatabaseStep> {
        let mut steps = vec![
            DatabaseStep::Create { temporary: self.temporary.clone() },
            DatabaseStep::Comment { comment: self.comment.clone() },
            DatabaseStep::Load,
        ];
        if !self.settings.is_empty() {
            steps.push(DatabaseStep::Lend { settings: self.settings.clone() });
        }
        if !self.migrations.is_empty() {
            steps.push(DatabaseStep::Migrate { migrations: self.migrations.clone() });
        }
        steps.extend(self.proof.clone().map(|against| DatabaseStep::Prove { against }));
        steps.extend(self.mask.clone().map(|script| DatabaseStep::Mask { script }));
        if self.properties {
            steps.push(DatabaseStep::Properties);
        }
        steps.extend(self.commit.clone().map(|commit| DatabaseStep::Mark { commit }));
        steps.push(DatabaseStep::Rename { database: self.database.clone() });
        steps
    }
}

/// Returns the encoding and locale settings of the original database for a new database.
pub fn template(postgres: &Postgres) -> Template {
    let text = |line: &Option<Line>| line.as_ref().map(ToString::to_string);
    Template {
        encoding: text(&postgres.encoding),
        collate: text(&postgres.collate),
        ctype: text(&postgres.ctype),
        provider: text(&postgres.locale_provider),
        locale: text(&postgres.locale),
        icu_rules: postgres.icu_rules.clone(),
        monetary: text(&postgres.lc_monetary),
    }
}

/// Appends a suffix. If the result would be too long, `name` is truncated and a digest of it is
/// inserted, so that names with a common beginning stay distinct.
pub(super) fn with_suffix(name: &str, suffix: &str) -> String {
    if name.len() + suffix.len() <= NAME_BYTES_MAX {
        return format!("{name}{suffix}");
    }
    let digest = Digest::of(name.as_bytes());
    let rest = format!("~{}{suffix}", &digest.hex()[..8]);
    format!("{}{rest}", &name[..name.floor_char_boundary(NAME_BYTES_MAX - rest.len())])
}

/// Executes `plan` on the server of `admin`. `work` is called with the temporary database for
/// [`DatabaseStep::Load`], [`DatabaseStep::Migrate`], [`DatabaseStep::Prove`] and [`DatabaseStep::Mask`]. On any failure, and on a
/// panic, the temporary database is dropped, and an error of `work` is returned unchanged. `at` is
/// called with the name of each durable step that is done. Before the load, it is checked whether this
/// role may mark the database. If it may not, the reason is returned.
pub fn into_new_database<E: From<Error>>(
    admin: &ConnInfo,
    plan: &Plan,
    mut work: impl FnMut(&DatabaseStep, &ConnInfo) -> Result<(), E>,
    at: &dyn Fn(&'static str),
) -> Result<Option<String>, E> {
    let pg = |error: PgError| E::from(Error::Pg(error));
    let client = Client::connect(admin, APPLICATION).map_err(pg)?;
    let (plan, left) = make_way(&client, plan).map_err(E::from)?;
    let mut not_marked = None;
    let mut temporary = Temporary { client: &client, name: &plan.temporary, ours: false };
    let target = admin.with_dbname(&plan.temporary);
    let mut lent = Vec::new();
    for step in plan.steps() {
        let ends = match step {
            DatabaseStep::Properties => true,
            DatabaseStep::Mark { .. } => !plan.properties,
            DatabaseStep::Rename { .. } => plan.commit.is_none() && !plan.properties,
            _ => false,
        };
        if ends {
            let mut settings = lent.iter();
            settings.try_for_each(|one| client.reset_in_database(&plan.temporary, one)).map_err(pg)?;
        }
        match step {
            DatabaseStep::Create { temporary: name } => {
                create(&client, &name, &plan, &mut temporary).map_err(pg)?;
                if let Some(commit) = &plan.commit {
                    not_marked =
                        client.mark_denial(&name, commit).map_err(pg)?.map(|error| error.to_string());
                }
                at("recovery.created");
            }
            DatabaseStep::Comment { comment } => {
                client.set_comment(&plan.temporary, Some(&comment)).map_err(pg)?;
                at("recovery.commented");
            }
            DatabaseStep::Load => {
                work(&step, &target)?;
                at("recovery.loaded");
            }
            DatabaseStep::Lend { settings } => {
                lent = lend(&client, &plan.temporary, &settings).map_err(E::from)?;
            }
            DatabaseStep::Migrate { .. } => {
                work(&step, &target)?;
                at("recovery.migrated");
            }
            DatabaseStep::Prove { .. } | DatabaseStep::Mask { .. } => work(&step, &target)?,
            DatabaseStep::Properties => {
                reset_own_settings(&client, &plan).map_err(E::from)?;
                work(&step, &target)?;
            }
            DatabaseStep::Mark { commit } => {
                begin(&client, &plan).map_err(pg)?;
                if not_marked.is_none() {
                    client.set_mark(&plan.temporary, &commit).map_err(pg)?;
                }
            }
            DatabaseStep::Rename { database } => {
                if plan.commit.is_none() {
                    begin(&client, &plan).map_err(pg)?;
                }
                rename(&client, &plan, &database)?;
                at("recovery.renamed");
            }
        }
    }
    temporary.ours = false;
    remove_left(&client, &left);
    Ok(not_marked)
}

/// Creates the temporary database. Its sessions do not wait until each of their many transactions is
/// on disk: the transaction that gives it the final name waits for all of them, because it is later in
/// the WAL.
fn create(client: &Client, name: &str, plan: &Plan, temporary: &mut Temporary<'_>) -> Result<(), PgError> {
    if plan.mask.is_some() {
        client.create_closed_database(name, &plan.template)?;
        temporary.ours = true;
        client.open_privately(name)?;
    } else {
        client.create_database(name, &plan.template)?;
        temporary.ours = true;
    }
    client.execute(&format!("ALTER DATABASE {} SET synchronous_commit = off", quote_ident(name)))
}

/// Renames the temporary database to its final name, and commits the transaction of [`begin`].
fn rename(client: &Client, plan: &Plan, database: &str) -> Result<(), Error> {
    client.set_comment(&plan.temporary, plan.label.as_deref())?;
    if !plan.properties {
        reset_own_settings(client, plan)?;
    }
    if plan.mask.is_some() {
        client.set_public_connect(&plan.temporary, true)?;
    }
    client.rename_database(&plan.temporary, database).map_err(exists)?;
    Ok(client.execute("COMMIT")?)
}

/// Removes the settings that the temporary database has only for the load.
fn reset_own_settings(client: &Client, plan: &Plan) -> Result<(), Error> {
    let name = quote_ident(&plan.temporary);
    client.execute(&format!("ALTER DATABASE {name} RESET synchronous_commit"))?;
    if let Some(value) = plan.template.monetary.clone() {
        let setting = Setting { role: None, name: "lc_monetary".to_owned(), value };
        client.reset_in_database(&plan.temporary, &setting)?;
    }
    Ok(())
}

/// Begins the transaction in which the temporary database gets its final name. Our own sessions in
/// the database have finished. A pooler may keep them open, so they are terminated.
fn begin(client: &Client, plan: &Plan) -> Result<(), PgError> {
    if client.connections_to(&plan.temporary)? > 0 {
        client.end_sessions(&plan.temporary)?;
    }
    client.execute("BEGIN")
}

/// Sets settings in a temporary database, and returns them as the server stores them.
fn lend(client: &Client, temporary: &str, settings: &[Setting]) -> Result<Vec<Setting>, Error> {
    let one = |setting: &Setting| {
        let failed = |source| Error::Setting { name: setting.name.clone(), source };
        client.set_in_database(temporary, setting).map_err(failed)
    };
    settings.iter().try_for_each(one)?;
    Ok(client.database_settings(temporary)?)
}

/// Runs `work` with a temporary database. The database is dropped afterwards, also after an error.
pub fn in_scratch_database<T>(
    admin: &ConnInfo,
    plan: &Plan,
    work: impl FnOnce(&ConnInfo) -> Result<T, Error>,
) -> Result<T, Error> {
    let client = Client::connect(admin, APPLICATION)?;
    let (plan, left) = make_way(&client, plan)?;
    let mut temporary = Temporary { client: &client, name: &plan.temporary, ours: false };
    create(&client, &plan.temporary, &plan, &mut temporary)?;
    client.set_comment(&plan.temporary, Some(&plan.comment))?;
    lend(&client, &plan.temporary, &plan.settings)?;
    let done = work(&admin.with_dbname(&plan.temporary));
    drop(temporary);
    remove_left(&client, &left);
    done
}

fn exists(error: PgError) -> Error {
    match error {
        PgError::DatabaseExists { dbname } => Error::TargetExists { dbname },
        other => Error::Pg(other),
    }
}

/// Fails if the target exists, and drops the temporary databases of crashed processes. A database
/// that cannot be dropped now keeps its name, and the returned plan has another temporary name. The
/// names of such databases are returned too.
fn make_way(client: &Client, plan: &Plan) -> Result<(Plan, Vec<String>), Error> {
    check_name(&plan.database)?;
    if client.database_exists(&plan.database)? {
        return Err(Error::TargetExists { dbname: plan.database.clone() });
    }
    let (mut left, mut plans) = (Vec::new(), plan.numbered());
    for plan in plans.by_ref() {
        match clear(client, &plan)? {
            true => {
                // An earlier attempt may have used another name.
                for other in plans {
                    if !clear_other(client, &other)? {
                        left.push(other.temporary);
                    }
                }
                return Ok((plan, left));
            }
            false => left.push(plan.temporary),
        }
    }
    Err(Error::InProgress { dbname: plan.database.clone() })
}

/// Drops the database that a crashed process has left under a temporary name that is not needed.
/// Returns false if the database is still in use. A database that is not a leftover, or belongs to a
/// restore that is running, is kept.
fn clear_other(client: &Client, plan: &Plan) -> Result<bool, Error> {
    if !client.database_exists(&plan.temporary)? {
        return Ok(true);
    }
    match clear(client, plan) {
        Err(Error::TemporaryTaken { .. } | Error::InProgress { .. }) => Ok(true),
        other => other,
    }
}

/// Locks a temporary name, and drops the database that a crashed process has left under it. Returns
/// false if that database is still in use: by a session that has not noticed the end of its client, a
/// prepared transaction, or a replication slot.
fn clear(client: &Client, plan: &Plan) -> Result<bool, Error> {
    if !client.try_lock(&plan.temporary)? {
        return Err(Error::InProgress { dbname: plan.database.clone() });
    }
    if !client.database_exists(&plan.temporary)? {
        return Ok(true);
    }
    let ours = match client.get_comment(&plan.temporary)? {
        Some(comment) => comment.starts_with(COMMENT),
        // The process crashed after it had created the database and before it had set the comment.
        None => is_empty(client, plan)?,
    };
    if !ours {
        return Err(Error::TemporaryTaken { temporary: plan.temporary.clone() });
    }
    // Without `FORCE` the server refuses to drop a database with sessions.
    match client.drop_database(&plan.temporary, false) {
        Err(PgError::DatabaseInUse { .. }) => Ok(false),
        other => other.map(|()| true).map_err(Error::Pg),
    }
}

/// Tries again to drop databases that were in use. The next restore drops those that remain.
fn remove_left(client: &Client, left: &[String]) {
    for name in left {
        let _ = client.drop_database(name, false);
    }
}

/// Removes the leftovers of a restore whose process has certainly exited. Programs of that restore
/// may still be connected for a moment, so their sessions are terminated. Fails if a leftover is
/// still in use after 100 attempts, 100 ms apart.
pub(super) fn sweep(admin: &ConnInfo, plan: &Plan) -> Result<(), Error> {
    let once = || {
        // The session is separate, because the session also holds the lock.
        let client = Client::connect(admin, APPLICATION)?;
        let mut cleared = true;
        for (at, plan) in plan.numbered().enumerate() {
            let comment = client.get_comment(&plan.temporary)?;
            if comment.is_some_and(|comment| comment.starts_with(COMMENT)) {
                client.end_sessions(&plan.temporary)?;
            }
            cleared &= if at == 0 { clear(&client, &plan)? } else { clear_other(&client, &plan)? };
        }
        client.unlock_all()?;
        if cleared { Ok(()) } else { Err(Error::InProgress { dbname: plan.database.clone() }) }
    };
    let patience = ConstantBuilder::new().with_delay(Duration::from_millis(100)).with_max_times(100);
    once.retry(patience).when(|error| matches!(error, Error::InProgress { .. })).call()
}

fn is_empty(client: &Client, plan: &Plan) -> Result<bool, Error> {
    let info = client.conninfo().with_dbname(&plan.temporary);
    Ok(Client::connect(&info, APPLICATION)?.is_empty()?)
}

/// The temporary database. It is dropped on drop of this value unless it has its final name.
struct Temporary<'a> {
    client: &'a Client,
    name: &'a str,
    /// True from the creation of the database to its rename. Before the creation, the name may belong
    /// to another process.
    ours: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        // A database that cannot be dropped now is found by its comment and dropped by the next
        // attempt.
        let _ = self.client.execute("ROLLBACK");
        if self.client.drop_database(self.name, true).is_err_and(|error| error.retry()) {
            let again = Client::connect(self.client.conninfo(), APPLICATION);
            let _ = again.and_then(|client| client.drop_database(self.name, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_plan_shows_every_step() {
        let plan = Plan::new("a\"b", "b1", Some("c0ffee"), Template::default());
        let shown: Vec<_> = plan.steps().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "create database \"a\"\"b~pggit\"",
                "comment on it: git-pggit: being restored from backup b1 as \"a\"\"b\"",
                "load the backup",
                "mark it with commit c0ffee",
                "rename it to \"a\"\"b\"",
            ]
        );
        assert_eq!(Plan::new("a", "b", None, Template::default()).steps().len(), 4);
    }

    proptest! {
        #[test]
        fn the_temporary_name_always_fits(name in "\\PC{0,80}") {
            let plan = Plan::new(&name, "b", None, Template::default());
            prop_assert!(plan.temporary().len() <= NAME_BYTES_MAX && plan.temporary().ends_with(SUFFIX));
        }
    }

    #[test]
    fn long_names_that_begin_alike_have_different_temporary_names() {
        let [a, b] = ["a", "b"].map(|end| with_suffix(&format!("{}{end}", "x".repeat(62)), SUFFIX));
        assert_ne!(a, b);
        assert_eq!((a.len(), with_suffix("short", SUFFIX)), (NAME_BYTES_MAX, "short~pggit".to_owned()));
        let umlauts = with_suffix(&"ä".repeat(31), SUFFIX);
        assert!(umlauts.len() <= NAME_BYTES_MAX && umlauts.ends_with(SUFFIX), "{umlauts}");
    }
}
