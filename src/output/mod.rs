//! Results as printed by `--json`: one documented type for each.
//!
//! Scripts read the results, so fields are added and never renamed or removed. [`Ui::json`] takes only
//! types that are registered in this file. `docs/json.md` is generated from their schemas, which
//! contain the comments of the fields. The tests check all printed results against the schemas.

pub mod backup;
pub mod database;
pub mod migrations;
pub mod queue;
pub mod repository;
pub mod restore;
pub mod schedule;
pub mod store;

mod reference;

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

use crate::terminal::{LineOutput, Message, Output};

pub use reference::reference;

/// The form in which a command prints an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document on standard output.
    Document,
    /// Single lines on standard output.
    Line,
    /// Single lines on standard error.
    Message,
}

/// An output of one or several commands.
pub struct Registered {
    /// The commands without `git pggit`; empty for messages, which all commands print.
    pub commands: &'static [&'static str],
    /// The condition under which the command prints this output; empty if it is the only one. For
    /// messages, their description.
    pub when: &'static str,
    /// The form of the output.
    pub form: Form,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Registers types as outputs of commands. Only registered types can be printed.
macro_rules! outputs {
    ($($trait:ident { $($type:ty => $([$($command:literal),*] $($when:literal)?),+;)* })+) => {
        $($(impl $trait for $type {})*)+

        /// All outputs.
        pub const OUTPUTS: &[Registered] = &[$($($(Registered {
            commands: &[$($command),*],
            when: concat!($($when)?),
            form: outputs!(@form $trait),
            schema: |generator| generator.subschema_for::<$type>(),
        },)+)*)+];
    };
    (@form Output) => { Form::Document };
    (@form LineOutput) => { Form::Line };
    (@form Message) => { Form::Message };
}

outputs! {
    Output {
        backup::RecordOutput =>
            ["backup annotate", "backup complete", "backup hold", "backup register", "backup release", "backup start", "backup tag", "backup untag"],
            ["backup fail"] "Without `--interrupted --all`";
        backup::EventOutput => ["backup append"];
        backup::BranchCoverage => ["backup coverage"] "Without `--commits`";
        backup::RangeCoverage => ["backup coverage"] "With `--commits`";
        crate::domain::Backup => ["backup create"] "Without `--enqueue`";
        queue::EnqueuedJob => ["backup create"] "With `--enqueue`", ["queue enqueue"];
        backup::SchemaDiff => ["backup diff"];
        backup::SettledBackups => ["backup fail"] "With `--interrupted --all`";
        backup::FoundBackups => ["backup find"];
        backup::GuardedMigration => ["backup guard"];
        backup::ImportedBackups => ["backup import"];
        backup::RecordList => ["backup list"];
        backup::EventLog => ["backup log"];
        backup::ToolDifferences => ["backup reconcile"];
        restore::RestorePlanOutput => ["backup plan"], ["backup restore"] "With `--dry-run`";
        restore::RestoredDatabase => ["backup restore"] "Into a new database";
        restore::RowsPutBack => ["backup restore"] "With `--back-into`";
        restore::RestoredDirectory => ["backup restore"] "Into a directory";
        restore::RestoreStatusOutput => ["backup restore"] "With `--in-place`", ["backup restore resume"];
        restore::UnfinishedRestores => ["backup restore list"];
        restore::FinishedRestore => ["backup restore finish", "backup restore abort"];
        backup::ShownBackup => ["backup show"];
        backup::VerificationResults => ["backup verify"] "Without `--dry-run` and `--report`";
        backup::DueVerifications => ["backup verify"] "With `--dry-run`";
        crate::report::Verifications => ["backup verify"] "With `--report`";
        database::CheckedOutClone => ["checkout"];
        database::CloneList => ["clone list"];
        database::DroppedClones => ["clone remove"];
        database::Settings => ["config"] "Without an option";
        database::KeyList => ["config"] "With `--list-keys`";
        database::DatabaseCheck => ["database check"];
        database::DatabaseList => ["database list"];
        database::DatabaseSettings => ["database show"];
        repository::DoctorOutput => ["doctor"];
        repository::FsckOutput => ["fsck"];
        schedule::ChangedHooks => ["hooks install", "hooks remove"];
        schedule::HooksStatus => ["hooks status"];
        repository::InitOutput => ["init"];
        repository::ExportedLedger => ["ledger export"] "With `--output`";
        repository::ImportedLedger => ["ledger import"];
        repository::RebuiltLedger => ["ledger rebuild"];
        repository::MaintenanceDone => ["maintenance"] "If it was done";
        repository::NoMaintenance => ["maintenance"] "With `--auto` if none is due";
        database::ChangedMark => ["mark"] "With a commit, or with `--clear`";
        database::MarkOutput => ["mark"] "With `--show`";
        database::NoMark => ["mark"] "With `--show` if there is no mark";
        migrations::CommitMigrationsOutput => ["migrations"];
        queue::JobList => ["queue cancel", "queue list", "queue pause", "queue resume", "queue retry"];
        queue::CleanedQueue => ["queue clean"];
        queue::InstalledQueue => ["queue init"];
        queue::JobOutput => ["queue show"];
        queue::QueueStats => ["queue stats"];
        queue::DueJobs => ["schedule catch-up", "schedule run"];
        schedule::ScheduleList => ["schedule list"];
        schedule::NextRuns => ["schedule next"];
        schedule::SystemdUnits => ["schedule systemd"];
        store::StoreDescription => ["store init", "store show"];
        store::ArtifactList => ["store list"];
        store::StoredArtifact => ["store put"];
        store::RemovedArtifacts => ["store remove"];
        store::StoreStats => ["store stats"];
        store::CollectedGarbage => ["store gc"];
        store::StoreCheck => ["store check"];
        store::StoreCopy => ["store copy"];
        crate::store::KeysView => ["store key add", "store key list", "store key remove", "store key rotate"];
        store::GeneratedIdentity => ["store key generate"];
        repository::SyncOutput => ["sync"];
        repository::WalCheck => ["wal check"];
        repository::PushedWal => ["wal push"];
        queue::WorkerSummary => ["worker"];
    }
    LineOutput {
        queue::JobOutput => ["queue watch"];
    }
    Message {
        crate::terminal::message::ErrorMessage => [] "Errors";
        crate::terminal::message::WarningMessage => [] "Warnings";
        crate::terminal::message::LogLine => [] "Log";
    }
}

/// The schemas of all outputs, with their shared definitions.
#[derive(Debug)]
pub struct Schemas {
    /// One schema for each of [`OUTPUTS`].
    pub outputs: Vec<Value>,
    /// The schemas by name, as `$ref` refers to them.
    pub definitions: Map<String, Value>,
}

/// Returns the schemas of [`OUTPUTS`], in JSON Schema 2020-12. Objects with listed properties allow no
/// others.
pub fn schemas() -> &'static Schemas {
    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
        let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let schemas = OUTPUTS.iter().map(|output| (output.schema)(&mut generator).to_value());
        let mut outputs: Vec<Value> = schemas.collect();
        let mut definitions = generator.take_definitions(true);
        let all = definitions.clone();
        for schema in outputs.iter_mut().chain(definitions.values_mut()) {
            merge(schema, &all);
            close(schema);
        }
        Schemas { outputs, definitions }
    });
    &SCHEMAS
}

/// Replaces a `$ref` by the properties of its target if the schema has properties of its own: a
/// flattened type makes one object.
fn merge(schema: &mut Value, definitions: &Map<String, Value>) {
    match schema {
        Value::Object(object) => {
            let name =
                object.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
            if let Some(Value::Object(other)) = name.and_then(|name| definitions.get(name))
                && let Some(Value::Object(properties)) = object.get_mut("properties")
            {
                let others = other.get("properties").and_then(Value::as_object).cloned();
                properties.extend(others.unwrap_or_default());
                let others = other.get("required").and_then(Value::as_array).cloned();
                if let Some(Value::Array(required)) = object.get_mut("required") {
                    required.extend(others.unwrap_or_default());
                }
                object.remove("$ref");
            }
            object.values_mut().for_each(|value| merge(value, definitions));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| merge(value, definitions)),
        _ => {}
    }
}

/// Forbids unlisted properties, and `null` in properties that are omitted instead.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let required: Vec<Value> =
                object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                let optional =
                    properties.iter_mut().filter(|(name, _)| !required.iter().any(|it| it == *name));
                optional.for_each(|(_, property)| forbid_null(property));
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

fn forbid_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
    }
    if let Some(Value::Array(others)) = schema.get_mut("anyOf") {
        others.retain(|other| other["type"] != "null");
    }
}
