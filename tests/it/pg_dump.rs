//! Dumps and restores with the real programs and a real server, and failures of the programs.
#![expect(clippy::unwrap_used, reason = "functions of tests")]

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pggit::process::{self, Secret, Status};
use pggit::progress::{Counter, Quiet};
use pggit::tools::{
    Connection, DumpSpec, Error, Format, Kind, PgTools, Program, Programs, RestoreSpec, ToolVersion,
};
use proptest::prelude::*;

use crate::cluster::Cluster;

const SERVER: u32 = 15;
const ODD: &str = "odd \"name\" 'x' \\ -- é\n.*";

fn tools() -> PgTools {
    Programs::new(None).for_server(SERVER)
}

/// A separate database in the shared cluster.
struct Db {
    cluster: Arc<Cluster>,
    name: String,
}

impl Db {
    fn new(suffix: &str) -> Db {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("d{}{suffix}", NEXT.fetch_add(1, Ordering::Relaxed));
        let cluster = Cluster::shared();
        cluster.psql("postgres", &format!("CREATE DATABASE {} TEMPLATE template0", ident(&name)));
        Db { cluster, name }
    }

    fn connection(&self) -> Connection {
        connection_to(&self.cluster, &self.name)
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.name, sql)
    }

    /// Makes a database with odd names, all kinds of objects, and 1,000 rows.
    fn filled() -> Db {
        let db = Db::new(" it's \"odd\"");
        let odd = ident(ODD);
        db.sql(&format!(
            "CREATE SCHEMA {odd}; CREATE TABLE {odd}.{odd} ({odd} int PRIMARY KEY, b bytea, t text);
             INSERT INTO {odd}.{odd} SELECT i, decode(md5(i::text), 'hex'), repeat(E'a\\t\\n\\\\', i % 7) FROM generate_series(1, 1000) i;
             CREATE SCHEMA other; CREATE TABLE other.t AS SELECT 1 AS x; CREATE SEQUENCE other.s; SELECT nextval('other.s');
             CREATE VIEW other.v AS SELECT count(*) FROM {odd}.{odd}; SELECT lo_from_bytea(0, 'large object');"
        ));
        db
    }

    fn fingerprint(&self) -> String {
        let odd = ident(ODD);
        self.sql(&format!(
            "SELECT count(*), sum({odd}), md5(string_agg(b::text || t, ',' ORDER BY {odd})) FROM {odd}.{odd};
             SELECT * FROM other.v; SELECT x FROM other.t; SELECT last_value FROM other.s;
             SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata"
        ))
    }
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn connection_to(cluster: &Cluster, database: &str) -> Connection {
    let name = database.replace('\\', "\\\\").replace('\'', "\\'");
    let conninfo = format!("host={} user=postgres dbname='{name}'", cluster.dir().display());
    Connection { conninfo, ..Connection::default() }
}

fn dump(db: &Db, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let counter = Counter::default();
    let result = tools().dump_to(&DumpSpec::new(db.connection(), format), &mut out, &counter).unwrap();
    assert_eq!((result.bytes, counter.bytes()), (out.len() as u64, out.len() as u64));
    assert_eq!(result.tool.major, SERVER);
    out
}

fn restore(db: &Db, format: Format, mut input: impl Read) -> Result<u64, Error> {
    tools().restore_stream(&RestoreSpec::new(db.connection(), format), &mut input, &Quiet)
}

#[test]
fn every_stream_restores_to_the_same_data() {
    let source = Db::filled();
    for format in [Format::Custom, Format::Tar, Format::Plain] {
        let dumped = dump(&source, format);
        let target = Db::new("-target");
        assert_eq!(restore(&target, format, &dumped[..]).unwrap(), dumped.len() as u64, "{format}");
        assert_eq!(target.fingerprint(), source.fingerprint(), "{format}");
        let error = restore(&target, format, &dumped[..]).unwrap_err();
        let refused = matches!(&error, Error::Failed { .. } | Error::Statement { .. });
        assert!(refused && error.kind() == Kind::Other && !error.retry(), "{error}");
        assert!(error.to_string().contains("already exists"), "the message of the program: {error}");
    }
}

#[test]
fn a_directory_restores_to_the_same_data() {
    let source = Db::filled();
    let dir = tempfile::tempdir().unwrap();
    let mut spec = DumpSpec::new(source.connection(), Format::Directory);
    spec.options.jobs = NonZeroU32::new(2);
    let at = dir.path().join("-dash dir");
    let result = tools().dump_directory(&spec, &at, false).unwrap();
    assert!(result.bytes > 1000);
    let target = Db::new("");
    let mut restore = RestoreSpec::new(target.connection(), Format::Directory);
    (restore.options.no_owner, restore.options.no_privileges) = (true, true);
    tools().restore_directory(&restore, &at).unwrap();
    assert_eq!(target.fingerprint(), source.fingerprint());
    let again = tools().dump_directory(&spec, &at, false).unwrap_err();
    assert!(again.to_string().contains("File exists"), "{again}");
}

#[test]
fn what_a_format_cannot_do_is_refused_before_anything_runs() {
    let connection = Connection::default();
    let mut parallel = DumpSpec::new(connection.clone(), Format::Custom);
    parallel.options.jobs = NonZeroU32::new(4);
    let nowhere = Programs::new(Some("/no/such/dir".into())).for_server(SERVER);
    let unsupported = |error| matches!(error, Error::Unsupported { .. });
    assert!(unsupported(nowhere.dump_to(&parallel, &mut Vec::new(), &Quiet).unwrap_err()));
    let directory = DumpSpec::new(connection.clone(), Format::Directory);
    assert!(unsupported(nowhere.dump_to(&directory, &mut Vec::new(), &Quiet).unwrap_err()));
    assert!(unsupported(nowhere.dump_directory(&parallel, "/x".as_ref(), false).unwrap_err()));
    let mut plain = RestoreSpec::new(connection.clone(), Format::Plain);
    plain.options.no_owner = true;
    assert!(unsupported(nowhere.restore_stream(&plain, &mut io::empty(), &Quiet).unwrap_err()));
    let directory = RestoreSpec::new(connection, Format::Directory);
    assert!(unsupported(nowhere.restore_stream(&directory, &mut io::empty(), &Quiet).unwrap_err()));
}

#[test]
fn schemas_are_names_and_not_patterns() {
    let db = Db::filled();
    db.sql("CREATE SCHEMA \"*\"; CREATE TABLE \"*\".only_here (x int)");
    let schema = |names: &[&str]| {
        let mut spec = DumpSpec::new(db.connection(), Format::Plain);
        spec.options.schemas = names.iter().map(ToString::to_string).collect();
        let mut out = Vec::new();
        tools().dump_to(&spec, &mut out, &Quiet).map(|_| String::from_utf8(out).unwrap())
    };
    let star = schema(&["*"]).unwrap();
    assert!(star.contains("only_here") && !star.contains("other"), "{star}");
    let both = schema(&[ODD, "other"]).unwrap();
    assert!(both.contains("CREATE TABLE other.t") && both.contains("odd \"\"name\"\""), "{both}");
    for missing in ["nope", "Other", "o*", "", "--help", "other\" \"", "x'; DROP SCHEMA other; --", "a\0b"] {
        let error = schema(&["other", missing]).unwrap_err();
        assert!(!error.retry(), "{missing:?}: {error}");
    }
}

#[test]
fn a_schema_is_the_same_bytes_each_time_and_holds_no_secret() {
    let db = Db::filled();
    db.sql(
        "CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w
           OPTIONS (host 'h', url 'postgres://u:hunter2@h/d', \"API token\" 'hunter2 ''x');
         CREATE USER MAPPING FOR postgres SERVER srv OPTIONS (\"user\" 'bob', password E'hunter2\\\\ '' \n');
         CREATE SUBSCRIPTION sub CONNECTION 'host=h password=''hunter2 \\'' hunter2'' dbname=x' PUBLICATION p WITH (connect = false);
         CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'OPTIONS (password ''mine'')' $$",
    );
    let spec = DumpSpec::new(db.connection(), Format::Custom);
    let first = tools().schema_sql(&spec).unwrap();
    assert_eq!(first, tools().schema_sql(&spec).unwrap());
    let text = String::from_utf8(first).unwrap();
    db.sql("ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!text.contains("restrict ") && !text.contains("Dumped"), "{text}");
    for kept in [
        "host 'h'",
        "\"user\" 'bob'",
        "postgres://u:***@h/d",
        "OPTIONS (password ''mine'')",
        "CREATE SUBSCRIPTION",
    ] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    assert!(!text.contains("INSERT") && !text.contains("COPY"));
}

#[test]
fn globals_come_with_and_without_passwords() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE ROLE bob LOGIN PASSWORD 'hunter2'");
    let globals = |passwords| {
        let mut out = Vec::new();
        let connection = connection_to(&cluster, "postgres");
        tools().globals(&connection, passwords, None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(globals(true).contains("SCRAM-SHA-256"));
    let without = globals(false);
    assert!(without.contains("CREATE ROLE bob") && !without.contains("SCRAM-SHA-256"));
}

#[test]
fn failures_of_the_server_are_told_apart() {
    let cluster = Cluster::start();
    let failure = |connection: Connection| {
        let spec = DumpSpec::new(connection, Format::Custom);
        let error = tools().dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err();
        (error.kind(), error.retry(), error.to_string())
    };
    let (kind, retry, words) = failure(connection_to(&cluster, "no such"));
    assert_eq!((kind, retry), (Kind::DatabaseMissing, false), "{words}");
    assert!(words.contains("\"no such\" does not exist"), "{words}");

    cluster.psql("postgres", "CREATE ROLE bob LOGIN; CREATE TABLE secret (x int)");
    let mut as_bob = connection_to(&cluster, "postgres");
    as_bob.conninfo = as_bob.conninfo.replace("user=postgres", "user=bob");
    assert_eq!(failure(as_bob.clone()).0, Kind::PermissionDenied);
    as_bob.conninfo = as_bob.conninfo.replace("user=bob", "user=nobody");
    assert_eq!(failure(as_bob).0, Kind::AuthFailed);

    let hba = cluster.dir().join("data/pg_hba.conf");
    fs::write(&hba, "local all bob scram-sha-256\nlocal all all trust\n").unwrap();
    cluster.psql("postgres", "ALTER ROLE bob PASSWORD 'right'; SELECT pg_reload_conf()");
    let mut with_password = connection_to(&cluster, "postgres");
    with_password.conninfo = with_password.conninfo.replace("user=postgres", "user=bob");
    with_password.password = Some(Secret::new("hunter2"));
    let (kind, retry, words) = failure(with_password.clone());
    assert_eq!((kind, retry), (Kind::AuthFailed, false), "{words}");
    assert!(!words.contains("hunter2"));
    with_password.password = Some(Secret::new("right"));
    assert_eq!(failure(with_password).0, Kind::PermissionDenied, "the password is used");

    cluster.psql("postgres", "ALTER DATABASE postgres CONNECTION LIMIT 0; ALTER ROLE bob PASSWORD NULL");
    let gone = connection_to(&cluster, "postgres");
    drop(cluster);
    let (kind, retry, words) = failure(gone);
    assert_eq!((kind, retry), (Kind::ServerUnreachable, true), "{words}");
}

#[test]
fn an_untrustworthy_input_is_an_error() {
    struct Breaks(Cursor<Vec<u8>>);
    impl Read for Breaks {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(io::Error::other("flipped bits")),
                n => Ok(n),
            }
        }
    }
    let source = Db::filled();
    for format in [Format::Custom, Format::Tar, Format::Plain] {
        let dumped = dump(&source, format);
        let target = Db::new("");
        let broken = restore(&target, format, Breaks(Cursor::new(dumped.clone()))).unwrap_err();
        assert!(matches!(broken, Error::Read { .. } | Error::Place(_)), "{format}: {broken}");
        // A script that is cut between two statements is not complete.
        let text = String::from_utf8_lossy(&dumped).into_owned();
        let cut = if format == Format::Plain { text.find("CREATE VIEW").unwrap() } else { dumped.len() / 2 };
        assert!(restore(&target, format, &dumped[..cut]).is_err(), "{format}");
        assert!(restore(&target, format, &b"not a dump"[..]).is_err(), "{format}");
        assert!(restore(&target, format, io::empty()).is_err(), "{format}");
    }
}

#[test]
fn a_refused_restore_reports_the_program_s_words_and_not_a_broken_pipe() {
    let cluster = Cluster::shared();
    for format in [Format::Custom, Format::Plain] {
        let head: &[u8] = if format == Format::Custom { b"PGDMP" } else { b"" };
        let mut input = head.chain(io::repeat(b'\n')).take(50_000_000);
        let spec = RestoreSpec::new(connection_to(&cluster, "no such"), format);
        let error = tools().restore_stream(&spec, &mut input, &Quiet).unwrap_err();
        let expected = if format == Format::Custom { Kind::Other } else { Kind::DatabaseMissing };
        assert_eq!(error.kind(), expected, "{format}: {error}");
    }
}

/// Makes a directory with a pg_dump that answers `--version` and otherwise runs `script`.
fn fake(script: &str) -> (tempfile::TempDir, PgTools) {
    let dir = tempfile::tempdir().unwrap();
    for program in ["pg_dump", "pg_dumpall", "pg_restore"] {
        let file = dir.path().join(program);
        let version = format!("[ \"$1\" = --version ] && echo '{program} (PostgreSQL) 15.18' && exit");
        fs::write(&file, format!("#!/bin/sh\n{version}\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tools = Programs::new(Some(dir.path().into())).for_server(SERVER);
    (dir, tools)
}

fn fake_dump(script: &str, format: Format) -> Error {
    let (_dir, tools) = fake(script);
    let mut spec = DumpSpec::new(Connection::default(), format);
    spec.deadline = Some(Duration::from_secs(60));
    tools.dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err()
}

#[test]
fn a_pg_dump_that_misbehaves_is_never_a_success() {
    let killed = fake_dump("printf PGDMP; kill -9 $$", Format::Custom);
    assert!(matches!(killed, Error::Failed { status: Status::Killed(9), .. }), "{killed}");
    assert_eq!(killed.to_string(), "pg_dump: killed by signal 9");
    let loud = "i=0; line=$(printf '%1023s' x); while [ $i -lt 10240 ]; do echo \"$line\" >&2; i=$((i+1)); done; echo 'pg_dump: error: last words' >&2; exit 1";
    let loud = fake_dump(loud, Format::Custom);
    assert!(loud.to_string().len() < 70_000 && loud.to_string().ends_with("last words"));
    for format in [Format::Custom, Format::Tar, Format::Plain] {
        assert!(matches!(fake_dump("exit 0", format), Error::Empty { .. }));
        assert!(matches!(fake_dump("echo PG", format), Error::Truncated { .. }));
    }
    let (_dir, hanging) = fake("exec sleep 1000");
    let mut spec = DumpSpec::new(Connection::default(), Format::Custom);
    spec.deadline = Some(Duration::from_millis(200));
    let error = hanging.dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err();
    assert!(matches!(error, Error::Process(process::Error::Deadline { .. })) && error.retry(), "{error}");
    let (_dir, empty) = fake("exit 0");
    let dir = tempfile::tempdir().unwrap();
    let spec = DumpSpec::new(Connection::default(), Format::Directory);
    assert!(matches!(empty.dump_directory(&spec, dir.path(), false), Err(Error::Empty { .. })));
    assert!(matches!(
        empty.globals(&Connection::default(), false, None, &mut Vec::new()),
        Err(Error::Empty { .. })
    ));
    let spec = DumpSpec::new(Connection::default(), Format::Plain);
    assert!(matches!(empty.schema_sql(&spec), Err(Error::Empty { .. })));
}

#[test]
fn a_writer_that_fails_ends_the_dump() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(buf.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (dir, tools) = fake("echo $$ > \"$(dirname \"$0\")/pid\"; printf PGDMP; exec yes");
    let spec = DumpSpec::new(Connection::default(), Format::Custom);
    let error = tools.dump_to(&spec, &mut Full(1_000_000), &Quiet).unwrap_err();
    assert!(matches!(&error, Error::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
    assert_eq!((error.kind(), error.retry()), (Kind::DiskFull, true));
    let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
    assert!(!PathBuf::from("/proc").join(pid.trim()).exists(), "pg_dump still runs");
}

#[test]
fn old_and_missing_programs_are_refused_before_they_run() {
    let (dir, _) = fake("touch \"$(dirname \"$0\")/ran\"");
    let programs = Programs::new(Some(dir.path().into()));
    let spec = DumpSpec::new(Connection::default(), Format::Custom);
    let error = programs.for_server(16).dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err();
    let expected = ToolVersion { major: 15, text: "15.18".into() };
    assert!(matches!(&error, Error::ServerNewer { server: 16, tool, .. } if *tool == expected), "{error}");
    assert!(!dir.path().join("ran").exists());
    fs::remove_file(dir.path().join("pg_dump")).unwrap();
    let error = programs.for_server(15).dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err();
    assert!(matches!(error, Error::ProgramMissing { program: Program::PgDump, .. }), "{error}");
    fs::write(dir.path().join("pg_dump"), "#!/bin/sh\necho garbage").unwrap();
    fs::set_permissions(dir.path().join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = programs.for_server(15).dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err();
    assert!(matches!(&error, Error::VersionUnknown { answer, .. } if answer == "garbage"), "{error}");
}

#[test]
fn no_password_is_in_the_arguments() {
    let (dir, tools) = fake(
        "printf '%s\\n' \"$@\" > \"$(dirname \"$0\")/args\"; echo \"bad password $PGPASSWORD\" >&2; exit 1",
    );
    let mut connection = Connection { conninfo: "host=h".into(), ..Connection::default() };
    connection.password = Some(Secret::new("hunter2"));
    connection.env.push(("PGAPPNAME".into(), "x".into()));
    let spec = DumpSpec::new(connection, Format::Custom);
    let error = tools.dump_to(&spec, &mut Vec::new(), &Quiet).unwrap_err();
    let args = fs::read_to_string(dir.path().join("args")).unwrap();
    assert!(args.contains("--dbname=host=h") && args.contains("--compress=0"), "{args}");
    for shown in [args, format!("{spec:?}"), format!("{error} {error:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(error.to_string().contains("bad password ***"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_schema_name_is_taken_literally(name in "[^\u{0}/]{1,12}") {
        prop_assume!(!name.starts_with("pg_"));
        let db = Db::new("");
        db.sql(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.wanted (x int); CREATE SCHEMA unwanted; CREATE TABLE unwanted.t ()", ident(&name)));
        let mut spec = DumpSpec::new(db.connection(), Format::Plain);
        spec.options.schemas = vec![name];
        let sql = String::from_utf8(tools().schema_sql(&spec).unwrap()).unwrap();
        prop_assert!(sql.contains(".wanted (") && !sql.contains("unwanted"), "{}", sql);
    }
}
