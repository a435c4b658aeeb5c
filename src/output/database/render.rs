//! Databases, settings and clones as text.

use super::{
    CheckedOutClone, CloneList, CloneOutput, CloneState, DatabaseCheck, DatabaseList, DatabaseOutput,
    DatabaseSettings, KeyDescription, KeyList, KeyOutput, ProgramOutput, Settings,
};
use crate::config::{AnyKey, DatabaseConfig};
use crate::domain::human_bytes;
use crate::recovery::CloneDatabase;
use crate::terminal::text::utc_time;
use crate::terminal::{OutputError, Render, Style, Table, Ui};

impl DatabaseOutput {
    /// Describes a configured database.
    pub fn new(db: &DatabaseConfig, default: bool) -> Self {
        Self {
            name: db.name.clone(),
            default,
            url: db.url.as_ref().map(|url| url.value.as_str().to_owned()),
            tool: db.tool.value.as_str().to_owned(),
            kind: db.backup_type.value,
            format: db.dump.format.as_str().to_owned(),
            output: db.output.as_ref().map(|output| output.value.to_string_lossy().into_owned()),
        }
    }
}

impl Render for DatabaseList {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let mut table = Table::new(["", "NAME", "TOOL", "TYPE", "FORMAT", "URL"]).whole(1);
        for db in &self.databases {
            table.row([
                if db.default { "*" } else { "" },
                db.name.as_str(),
                &db.tool,
                db.kind.as_str(),
                &db.format,
                db.url.as_deref().unwrap_or("-"),
            ]);
        }
        ui.table(&table)
    }
}

impl Render for DatabaseCheck {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let mut table = Table::new(["CHECK", "RESULT"]).whole(0);
        let standby = if self.in_recovery { ", a standby" } else { "" };
        table.row(["database".into(), format!("{} on {}", self.dbname, self.target)]);
        table.row(["configured as", &self.name]);
        table.row(["server".into(), format!("PostgreSQL {}{standby}", self.server_version)]);
        table.row(["size".into(), human_bytes(self.size_bytes)]);
        let superuser = if self.superuser { ", a superuser" } else { "" };
        table.row(["user".into(), format!("{}{superuser}", self.user)]);
        table.row(["mark", self.mark.as_deref().unwrap_or("-")]);
        for ProgramOutput { program, path, version, error } in &self.programs {
            let found = match (version, path, error) {
                (Some(version), Some(path), _) => format!("{version} ({path})"),
                (.., error) => error.clone().unwrap_or_default(),
            };
            table.row([program.clone(), found]);
        }
        ui.table(&table)
    }
}

impl From<&dyn AnyKey> for KeyDescription {
    fn from(key: &dyn AnyKey) -> Self {
        Self {
            key: key.pattern(),
            scope: key.reach,
            expected: key.expected().to_owned(),
            several: key.several,
            default: key.default.map(str::to_owned),
            environment: key.environment.map(str::to_owned),
            trust: key.trust,
            description: key.doc.to_owned(),
        }
    }
}

impl Render for KeyList {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let mut table = Table::new(["KEY", "DEFAULT", "ENVIRONMENT", "VALUE"]).whole(0);
        for key in &self.keys {
            let expected = format!("{}{}", key.expected, if key.several { "; several" } else { "" });
            let default = key.default.as_deref().unwrap_or("-");
            table.row([&key.key, default, key.environment.as_deref().unwrap_or("-"), &expected]);
        }
        ui.table(&table)
    }
}

impl Render for Settings {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        ui.table(&values_table(&self.keys))
    }
}

impl Render for DatabaseSettings {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        ui.table(&values_table(&self.keys))
    }
}

/// Returns the table of keys, values and origins.
fn values_table(keys: &[KeyOutput]) -> Table {
    let mut table = Table::new(["KEY", "VALUE", "DEFAULT", "ORIGIN"]).whole(0);
    for key in keys {
        let default = key.default.as_deref().unwrap_or("-");
        if key.values.is_empty() {
            table.row([&key.key, "-", default, "-"]);
        }
        for setting in &key.values {
            let value = setting.value.as_deref().unwrap_or("(not shown)");
            table.row([&key.key, value, default, &setting.origin.name]);
        }
    }
    table
}

impl From<&CloneDatabase> for CloneOutput {
    fn from(clone: &CloneDatabase) -> Self {
        let state = match (&clone.note.owner, clone.is_in_use()) {
            (None, _) => CloneState::Kept,
            (Some(_), true) => CloneState::InUse,
            (Some(_), false) => CloneState::Abandoned,
        };
        Self { dbname: clone.dbname.clone(), state, clone: clone.note.clone() }
    }
}

impl Render for CloneList {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        if self.clones.is_empty() {
            ui.hint("there are no clones; 'git pggit checkout <commit>' creates one");
            return Ok(());
        }
        let header = ["NAME", "DATABASE", "COMMIT", "BACKUP", "CREATED", "STATE"];
        let mut table = Table::new(header).paint(2, Style::of_id).paint(3, Style::of_id);
        for CloneOutput { dbname, state, clone } in &self.clones {
            table.cell(dbname);
            table.cell(clone.database.as_str());
            table.cell(clone.commit.short());
            table.shown(clone.backup);
            table.cell(&utc_time(clone.at));
            table.cell(state.as_str());
        }
        ui.table(&table)
    }
}

impl Render for CheckedOutClone {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let (commit, dbname) = (self.commit.short(), &self.dbname);
        ui.status(&format!(
            "created clone {dbname} of commit {commit}; 'git pggit clone remove {dbname}' drops it"
        ));
        ui.line(&self.connection)
    }
}
