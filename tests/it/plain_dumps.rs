//! Plain dumps, restored over a connection of this program: in every encoding, with large objects,
//! statement by statement, and SQL only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pggit::process;
use pggit::progress::{Counter, Quiet};
use pggit::tools::{
    Connection, DumpSpec, Error, Format, LoadOptions, PgTools, Programs, RestoreSpec, load_script,
};

use crate::cluster::{Cluster, Options};

fn tools() -> PgTools {
    Programs::new(None).for_server(15)
}

struct Db {
    cluster: Arc<Cluster>,
    name: String,
}

impl Db {
    fn new(encoding: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (name, cluster) = (format!("plain{}", NEXT.fetch_add(1, Ordering::Relaxed)), Cluster::shared());
        let sql = format!(
            "create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
        );
        cluster.psql("postgres", &sql);
        Self { cluster, name }
    }

    fn connection(&self) -> Connection {
        let conninfo = format!("host={} user=postgres dbname={}", self.cluster.dir().display(), self.name);
        Connection { conninfo, ..Connection::default() }
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.name, sql)
    }

    fn dump(&self, client_encoding: Option<&str>) -> Vec<u8> {
        let mut connection = self.connection();
        connection.env.extend(client_encoding.map(|it| ("PGCLIENTENCODING".into(), it.into())));
        let mut out = Vec::new();
        tools().dump_to(&DumpSpec::new(connection, Format::Plain), &mut out, &Quiet).unwrap();
        out
    }

    fn restore(&self, dump: &[u8]) -> Result<u64, Error> {
        self.restore_within(dump, None)
    }

    fn restore_within(&self, mut dump: &[u8], deadline: Option<Duration>) -> Result<u64, Error> {
        let spec = RestoreSpec { deadline, ..RestoreSpec::new(self.connection(), Format::Plain) };
        let counter = Counter::default();
        let length = dump.len() as u64;
        let restored = tools().restore_stream(&spec, &mut dump, &counter)?;
        assert_eq!((restored, counter.bytes()), (length, length));
        Ok(restored)
    }

    /// Returns names, texts and rows as bytes.
    fn fingerprint(&self) -> String {
        let bytes =
            |text: &str| format!("encode(convert_to({text}, current_setting('server_encoding')), 'hex')");
        self.sql(&format!(
            "select {}, {} from pg_class where relnamespace = 'public'::regnamespace order by 1; \
             select {} from pg_proc where pronamespace = 'public'::regnamespace order by 1; \
             select {} from names x order by 1",
            bytes("relname::text"),
            bytes("obj_description(oid, 'pg_class')"),
            bytes("prosrc"),
            bytes("x::text"),
        ))
    }
}

/// Runs `sql` with each `<hex>` replaced by these bytes.
fn run_bytes(db: &Db, sql: &str) {
    let parts = sql.split(['<', '>']).enumerate();
    let pieces = parts.map(|(at, part)| match at % 2 {
        0 => format!("'{}'::bytea", part.replace('\'', "''").replace('\\', "\\\\")),
        _ => format!("'\\x{part}'::bytea"),
    });
    let joined = pieces.collect::<Vec<_>>().join(" || ");
    let encoding = db.sql("select current_setting('server_encoding')");
    db.sql(&format!("do $do$ begin execute convert_from({joined}, '{encoding}'); end $do$"));
}

#[test]
fn every_encoding_comes_back_as_it_was() {
    // A letter in LATIN1 and UTF8 (o umlaut), in EUC_JP (a katakana), and in SQL_ASCII.
    for (encoding, letter, dumped_as) in [
        ("LATIN1", "f6", vec![None, Some("UTF8")]),
        ("EUC_JP", "a5f6", vec![None, Some("UTF8"), Some("SJIS")]),
        ("UTF8", "c3b6", vec![None, Some("LATIN1")]),
        ("SQL_ASCII", "c3b6", vec![None]),
    ] {
        let source = Db::new(encoding);
        let x = format!("<{letter}>");
        run_bytes(&source, "create table names (id int, note text)");
        run_bytes(&source, &format!("create table \"K{x}ln\" (\"{x}\" text default '{x}\\')"));
        run_bytes(&source, &format!("comment on table \"K{x}ln\" is 'it''s {x}'"));
        run_bytes(&source, &format!("insert into \"K{x}ln\" values ('{x}'), (null)"));
        run_bytes(&source, &format!("insert into names select 1, \"{x}\" from \"K{x}ln\""));
        run_bytes(&source, &format!("create function f() returns text language sql as $$ select '; {x}' $$"));
        for client_encoding in dumped_as {
            let target = Db::new(encoding);
            target.restore(&source.dump(client_encoding)).unwrap();
            assert_eq!(target.fingerprint(), source.fingerprint(), "{encoding} {client_encoding:?}");
        }
    }
}

#[test]
fn a_database_without_an_encoding_keeps_all_bytes() {
    let source = Db::new("SQL_ASCII");
    run_bytes(&source, "create table names (id int, note text default 'K<f6>ln')");
    run_bytes(&source, "comment on table names is '<ff>'");
    run_bytes(&source, "insert into names values (1, '<f6ff>'), (2, 'b')");
    let target = Db::new("SQL_ASCII");
    target.restore(&source.dump(None)).unwrap();
    assert_eq!(target.fingerprint(), source.fingerprint());
    run_bytes(&source, "create table \"<f6>\" (a int)");
    run_bytes(&source, "insert into \"<f6>\" values (1)");
    let error = Db::new("SQL_ASCII").restore(&source.dump(None)).unwrap_err();
    assert!(matches!(&error, Error::Script { .. }), "{error}");
    assert!(error.to_string().contains("COPY with a name that is not UTF-8"), "{error}");
}

#[test]
fn rows_longer_than_what_is_read_at_once_come_back() {
    let source = Db::new("UTF8");
    source.sql(
        "create table names (id int, note text); insert into names select 1, repeat('x\\', 1000000); \
         insert into names select i, E'a\\n\\\\.\\n\\t' || i from generate_series(1, 50000) i; \
         insert into names values (2, null), (3, E'\\\\.')",
    );
    let target = Db::new("UTF8");
    target.restore(&source.dump(None)).unwrap();
    let sum = "select count(*), sum(hashtextextended(n::text, 0)) from names n";
    assert_eq!(target.sql(sum), source.sql(sum));
}

#[test]
fn strings_with_backslashes_mean_what_they_meant() {
    let source = Db::new("UTF8");
    source.sql("create table names (id int, note text default E'a\\\\''; b')");
    source.sql(&format!("alter database {} set standard_conforming_strings = off", source.name));
    let dump = source.dump(None);
    assert!(String::from_utf8_lossy(&dump).contains("standard_conforming_strings = off"));
    let target = Db::new("UTF8");
    target.restore(&dump).unwrap();
    let sql = "select encode(convert_to(pg_get_expr(adbin, adrelid), 'UTF8'), 'hex') from pg_attrdef where adrelid = 'names'::regclass";
    let value = "insert into names values (1); select encode(convert_to(note, 'UTF8'), 'hex') from names";
    assert_eq!(
        (target.sql(sql), target.sql(value)),
        (source.sql(&format!("set standard_conforming_strings = on; {sql}")), source.sql(value))
    );
}

/// Returns a dump with `sql` inserted before its closing comment.
fn with_end(dump: &[u8], sql: &str) -> Vec<u8> {
    let text = String::from_utf8(dump.to_vec()).unwrap();
    let at = text.rfind("--\n-- PostgreSQL database dump complete").unwrap();
    format!("{}{sql}\n{}", &text[..at], &text[at..]).into_bytes()
}

#[test]
fn large_objects_are_in_the_transactions_of_the_dump() {
    let source = Db::new("UTF8");
    source.sql(
        "create table names (id int, note text); select lo_from_bytea(4711, 'abc'), lo_from_bytea(0, 'xyz')",
    );
    let dump = source.dump(None);
    assert!(String::from_utf8_lossy(&dump).contains("\nCOMMIT;"), "it has transactions of its own");
    let target = Db::new("UTF8");
    let error = target.restore(&with_end(&dump, "SELECT 1 / 0;")).unwrap_err();
    assert!(matches!(&error, Error::Statement { refusal, .. } if refusal.sqlstate == "22012"), "{error}");
    let target = Db::new("UTF8");
    target.restore(&dump).unwrap();
    assert_eq!(target.sql("select convert_from(lo_get(4711), 'UTF8')"), "abc");
    let there = "select (select count(*) from pg_largeobject_metadata), (select count(*) from pg_class where relname = 'names')";
    assert_eq!(target.sql(there), "2|1");
    for end in ["COMMIT WORK;", "COMMIT;", "BEGIN;", "ROLLBACK;", "START TRANSACTION;", "END;"] {
        let error = Db::new("UTF8").restore(&with_end(&dump, end)).unwrap_err();
        assert!(error.to_string().contains("a dump that begins or ends transactions"), "{end}: {error}");
    }
}

#[test]
fn a_dump_is_for_the_server_alone() {
    let source = Db::new("UTF8");
    source.sql("create table names (id int, note text); insert into names values (1, E'\\\\! id')");
    let dump = source.dump(None);
    let ran = tempfile::tempdir().unwrap();
    let marker = ran.path().join("ran");
    for command in [
        format!("\\! touch {}", marker.display()),
        format!("\\unrestrict x\n\\! touch {}", marker.display()),
        format!("SELECT 1 \\gexec\n\\! touch {}", marker.display()),
        "\\connect postgres\nCREATE TABLE pggit_was_here ();".to_owned(),
        "COPY public.names TO stdout;".to_owned(),
    ] {
        let target = Db::new("UTF8");
        let end = with_end(&dump, &command);
        let lines = String::from_utf8_lossy(&end).lines().count() as u64;
        let error = target.restore(&end).unwrap_err();
        let Error::Script { script, line, .. } = &error else { panic!("{error:?}") };
        assert!(script == "dump.plain.sql" && (10..lines).contains(line), "{error}");
        let made = "select count(*) from pg_class where relname = 'pggit_was_here'";
        assert_eq!(target.cluster.psql("postgres", made), "0");
    }
    assert!(!marker.exists());
}

/// Restores `dump` with `options`. Returns the objects that were left out.
fn load(db: &Db, mut dump: &[u8], options: LoadOptions) -> Result<Vec<String>, Error> {
    let loaded = load_script(&db.connection(), "dump.plain.sql", &mut dump, (options, None), &Quiet)?;
    assert!(loaded.bytes > 0);
    Ok(loaded.left_out.iter().map(ToString::to_string).collect())
}

#[test]
fn what_cannot_be_restored_is_left_out_on_request() {
    let source = Db::new("UTF8");
    source.sql(
        "create table names (id int, note text); insert into names values (1, 'a'), (2, 'b'); \
         create table other (id int primary key); insert into other values (7); \
         select lo_from_bytea(4711, 'abc')",
    );
    let dump = String::from_utf8(source.dump(None)).unwrap();
    let dump = dump.replace("CREATE TABLE public.names (", "CREATE TABLE nowhere.names (");
    let dump = with_end(dump.as_bytes(), "CREATE VIEW public.v AS SELECT 'secret' AS a FROM public.names;");
    let keep_going = LoadOptions { keep_going: true, ..LoadOptions::default() };
    let target = Db::new("UTF8");
    let left_out = load(&target, &dump, keep_going).unwrap();
    let expected = [
        "CREATE TABLE nowhere.names ( id integer, note text ): schema \"nowhere\" does not exist",
        "ALTER TABLE public.names OWNER TO postgres: relation \"public.names\" does not exist",
        "COPY public.names (id, note) FROM stdin: relation \"public.names\" does not exist",
        "CREATE VIEW public.v AS SELECT ...: relation \"public.names\" does not exist",
    ];
    assert_eq!(left_out, expected);
    assert_eq!(target.sql("select (select id from other), convert_from(lo_get(4711), 'UTF8')"), "7|abc");
    assert!(load(&Db::new("UTF8"), &dump, LoadOptions::default()).is_err());
    // Of a large object only the first error is shown. Its transaction is rolled back.
    let text = String::from_utf8(source.dump(None)).unwrap();
    let target = Db::new("UTF8");
    let left_out =
        load(&target, text.replace("lo_open('4711'", "lo_open('4712'").as_bytes(), keep_going).unwrap();
    assert_eq!(left_out, ["SELECT pg_catalog.lo_open( ...: large object 4712 does not exist"]);
    assert_eq!(target.sql("select id from other; select count(*) from pg_largeobject"), "7\n0");
    // The data of a COPY that fails at its end are not read as statements.
    source.sql("alter table names add constraint c check (id > 0)");
    let dump = source.dump(None);
    let dump = String::from_utf8(dump).unwrap().replace("1\ta", "-1\tDROP TABLE public.other;");
    let target = Db::new("UTF8");
    let left_out = load(&target, dump.as_bytes(), keep_going).unwrap();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(left_out[0].starts_with("COPY public.names (id, note) FROM stdin: new row"), "{left_out:?}");
    assert_eq!(target.sql("select id from other; select count(*) from names"), "7\n0");
}

#[test]
fn a_limit_of_the_server_leaves_nothing_out() {
    let source = Db::new("UTF8");
    source.sql("create table names (id int)");
    let raise = "DO $$BEGIN RAISE 'x' USING ERRCODE = '53200'; END$$;";
    let keep_going = LoadOptions { keep_going: true, ..LoadOptions::default() };
    let error = load(&Db::new("UTF8"), &with_end(&source.dump(None), raise), keep_going).unwrap_err();
    assert!(error.retry() && error.to_string().contains("53200"), "{error}");
}

#[test]
fn a_dump_with_more_objects_than_the_server_has_locks_is_loaded() {
    let options = Options::default().setting("max_locks_per_transaction=10").setting("max_connections=10");
    let cluster = Arc::new(options.start());
    cluster.psql("postgres", "create database many");
    let db = Db { cluster, name: "many".to_owned() };
    let tables: String =
        (0..2000).map(|n| format!("CREATE TABLE public.t{n} (id integer PRIMARY KEY, a text);\n")).collect();
    let source = Db::new("UTF8");
    let dump = with_end(&source.dump(None), &tables);
    let at_once = format!("begin; {tables} commit");
    let said = String::from_utf8(db.cluster.try_psql(&db.name, &at_once).stderr).unwrap();
    assert!(said.contains("out of shared memory"), "{said}");
    db.restore(&dump).unwrap();
    assert_eq!(db.sql("select count(*) from pg_class where relkind = 'r' and relname ~ '^t[0-9]'"), "2000");
}

#[test]
fn tablespaces_are_left_out_on_request() {
    let source = Db::new("UTF8");
    source.sql("create table names (id int)");
    let dump = with_end(
        &source.dump(None),
        "SET default_tablespace = nowhere;\nCREATE TABLE public.spaced (id integer);",
    );
    let error = load(&Db::new("UTF8"), &dump, LoadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("default_tablespace"), "{error}");
    let target = Db::new("UTF8");
    let left_out = load(&target, &dump, LoadOptions { no_tablespaces: true, ..LoadOptions::default() });
    assert_eq!(left_out.unwrap(), [""; 0]);
    assert_eq!(target.sql("select count(*) from spaced"), "0");
}

#[test]
fn there_is_an_end_to_waiting() {
    let source = Db::new("UTF8");
    source.sql("create table names (id int)");
    let target = Db::new("UTF8");
    let dump = with_end(&source.dump(None), "SELECT pg_sleep(1000);");
    let error = target.restore_within(&dump, Some(Duration::from_millis(300))).unwrap_err();
    assert!(matches!(&error, Error::Process(process::Error::Deadline { .. })) && error.retry(), "{error}");
    let active = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and state = 'active'",
        target.name
    );
    assert_eq!(target.cluster.psql("postgres", &active), "0", "the statement was cancelled");
}
