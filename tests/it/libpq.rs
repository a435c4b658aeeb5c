//! Our connection rules compared with libpq: for the same input and environment, `psql` and git-pggit must
//! connect to the same server, or both fail.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pggit::pg::{Client, ConnInfo, Environment};

use super::cluster::{Cluster, Options, Tls, client, env_pair, percent_encode};

const QUESTION: &str = "select current_user, current_database(), inet_server_port(), \
     coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)";

type Env = Vec<(OsString, OsString)>;

fn ask_psql(input: &str, env: &Env) -> Result<String, String> {
    let mut command = client("psql");
    command.args(["-w", "-XAtc", QUESTION, "-d", input]).envs(env.iter().cloned());
    let out = command.output().expect("psql starts");
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

fn ask_us(input: &str, env: &Env) -> Result<String, String> {
    let info =
        ConnInfo::parse(input, &env.iter().cloned().collect::<Environment>()).map_err(|e| e.to_string())?;
    let answer = answer_of(&info)?;
    // A program with the environment that we set for tools must connect to the same server.
    let mut tool_env = env.clone();
    tool_env.extend(info.tool_env());
    assert_eq!(ask_psql(&info.without_password(), &tool_env).as_ref(), Ok(&answer), "{input}: as a tool");
    Ok(answer)
}

fn answer_of(info: &ConnInfo) -> Result<String, String> {
    let client = Client::connect(info, "git-pggit").map_err(|error| error.to_string())?;
    let rows = client.query(&QUESTION.replace("pg_stat_ssl", "pg_catalog.pg_stat_ssl"));
    let row = rows.map_err(|error| error.to_string())?.swap_remove(0);
    Ok(row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|"))
}

struct Setup {
    cluster: Cluster,
    home: tempfile::TempDir,
    db: String,
}

impl Setup {
    fn new() -> Self {
        let cluster = Options::default().tls(Tls::Signed).start();
        cluster.psql("postgres", "create role alice login password 'pa ss:w\\rd'");
        cluster.psql("postgres", "create role bob login password 'b%@/'");
        cluster.psql("postgres", "create database alice owner alice");
        let db = cluster.create_database("it's a \"db\" ");
        let home = tempfile::tempdir().expect("a temporary directory");
        let setup = Self { cluster, home, db };
        let port = setup.cluster.port();
        setup.write(
            ".pgpass",
            &format!("# all\nlocalhost:{port}:*:alice:pa ss\\:w\\\\rd\n127.0.0.1:*:*:bob:b%@/\n"),
        );
        setup.write("open", &format!("localhost:{port}:*:alice:pa ss\\:w\\\\rd\n"));
        fs::set_permissions(setup.home.path().join("open"), fs::Permissions::from_mode(0o644))
            .expect("own file");
        let service =
            format!("[tcp]\nhost=localhost\nport={port}\nuser=alice\n[half]\nhost=nowhere\nuser=alice\n");
        setup.write(".pg_service.conf", &service);
        setup
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.home.path().join(name);
        fs::write(&path, text).expect("own directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("own file");
    }

    /// Returns the environment of every case with more variables.
    fn env(&self, more: &[(&str, &str)]) -> Env {
        let mut env = vec![env_pair("HOME", self.home.path())];
        env.extend(more.iter().map(|(name, value)| env_pair(name, self.fill(value))));
        env
    }

    /// Replaces the placeholders of a case with the values of this run.
    fn fill(&self, text: &str) -> String {
        let path = |path: &Path| path.display().to_string();
        let quoted = self.db.replace('\\', "\\\\").replace('\'', "\\'");
        text.replace("PORT", &self.cluster.port().to_string())
            .replace("%SOCKET", &percent_encode(&path(self.cluster.dir())))
            .replace("SOCKET", &path(self.cluster.dir()))
            .replace("HOME", &path(self.home.path()))
            .replace("%DB", &percent_encode(&self.db))
            .replace("DB", &quoted)
    }
}

type Case = (&'static str, &'static [(&'static str, &'static str)]);

const PW: (&str, &str) = ("PGPASSWORD", "pa ss:w\\rd");

const CASES: &[Case] = &[
    // Sockets, defaults and names.
    ("host=SOCKET port=PORT user=postgres", &[]),
    ("host=SOCKET port=PORT user=postgres dbname='DB'", &[]),
    ("postgresql:///%DB?host=%SOCKET&port=PORT&user=postgres", &[]),
    ("postgres://postgres@%SOCKET:PORT/%DB", &[]),
    ("postgresql://%SOCKET,%SOCKET:1,PORT/?user=alice", &[]),
    ("", &[("PGHOST", "SOCKET"), ("PGPORT", "PORT"), ("PGUSER", "alice")]),
    ("postgres", &[("PGHOST", "SOCKET"), ("PGPORT", "PORT"), ("PGUSER", "alice")]),
    ("user=alice dbname=''", &[("PGHOST", "SOCKET"), ("PGPORT", "PORT"), ("PGDATABASE", "postgres")]),
    ("user=alice", &[("PGHOST", "SOCKET"), ("PGPORT", "PORT"), ("PGDATABASE", "postgres")]),
    ("port=PORT user=alice", &[("PGHOST", "SOCKET")]),
    (" host = SOCKET port= PORT user =alice ", &[]),
    ("host=SOCKET port=PORT user=al\\ice", &[]),
    ("host=SOCKET port=PORT user=nobody user=alice", &[]),
    // Passwords over TCP, with TLS where the server offers it.
    ("host=localhost port=PORT user=alice", &[]),
    ("host=127.0.0.1 port=PORT user=alice", &[]),
    ("host=127.0.0.1 port=PORT user=alice", &[PW]),
    ("hostaddr=127.0.0.1 port=PORT user=bob dbname=postgres", &[]),
    ("host=localhost hostaddr=127.0.0.1 port=PORT user=alice", &[]),
    ("postgresql://alice:pa%20ss%3Aw%5Crd@127.0.0.1:PORT", &[]),
    ("postgresql://bob:b%25%40%2F@127.0.0.1:PORT/postgres", &[("PGPASSWORD", "wrong")]),
    ("postgresql://127.0.0.1:PORT/postgres?user=bob&password=b%25%40%2F", &[]),
    ("postgresql://alice:@localhost:PORT", &[]),
    ("host=127.0.0.1 port=PORT user=alice password='pa ss:w\\\\rd'", &[]),
    ("host=127.0.0.1 port=PORT user=alice password=pa\\ ss:w\\\\rd", &[]),
    ("host=localhost port=PORT user=alice password=''", &[("PGPASSWORD", "wrong")]),
    ("host=localhost port=PORT user=alice", &[("PGPASSWORD", "wrong")]),
    ("host=localhost port=PORT user=alice", &[("PGPASSWORD", "")]),
    ("host=localhost port=PORT user=alice passfile=HOME/open", &[]),
    ("host=localhost port=PORT user=alice passfile=HOME/absent", &[]),
    ("host=localhost port=PORT user=alice", &[("PGPASSFILE", "HOME/open")]),
    ("host=localhost port=PORT user=alice passfile=HOME/.pgpass", &[("PGPASSFILE", "HOME/open")]),
    // Services.
    ("service=tcp", &[]),
    ("postgresql:///?service=tcp", &[]),
    ("", &[("PGSERVICE", "tcp")]),
    ("service=half host=localhost port=PORT", &[]),
    ("service=half", &[("PGHOST", "localhost"), ("PGPORT", "PORT")]),
    ("service=absent host=localhost port=PORT user=alice", &[]),
    ("service=tcp", &[("PGSERVICEFILE", "HOME/absent")]),
    ("service=tcp dbname=postgres", &[("PGDATABASE", "nowhere"), ("PGPORT", "1")]),
    ("service=tcp", &[("PGDATABASE", "postgres"), ("PGUSER", "bob")]),
    // TLS.
    ("host=localhost port=PORT user=alice sslmode=disable", &[]),
    ("host=localhost port=PORT user=alice sslmode=allow", &[]),
    ("host=localhost port=PORT user=alice sslmode=require", &[]),
    ("postgresql://alice@localhost:PORT/?ssl=true", &[]),
    ("host=localhost port=PORT user=alice sslmode=verify-ca", &[]),
    ("host=localhost port=PORT user=alice sslmode=verify-full sslrootcert=SOCKET/tls/ca.crt", &[]),
    (
        "host=127.0.0.1 port=PORT user=bob dbname=postgres sslmode=verify-full",
        &[("PGSSLROOTCERT", "SOCKET/tls/ca.crt")],
    ),
    (
        "hostaddr=127.0.0.1 port=PORT user=bob dbname=postgres sslmode=verify-full sslrootcert=SOCKET/tls/ca.crt",
        &[],
    ),
    (
        "hostaddr=127.0.0.1 port=PORT user=bob dbname=postgres sslmode=verify-ca sslrootcert=SOCKET/tls/ca.crt",
        &[],
    ),
    (
        "host=other hostaddr=127.0.0.1 port=PORT user=alice sslmode=verify-full sslrootcert=SOCKET/tls/ca.crt",
        &[PW],
    ),
    (
        "host=other hostaddr=127.0.0.1 port=PORT user=alice sslmode=verify-ca sslrootcert=SOCKET/tls/ca.crt",
        &[PW],
    ),
    ("host=localhost port=PORT user=alice sslmode=require sslrootcert=SOCKET/tls/server.crt", &[]),
    ("host=localhost port=PORT user=alice sslmode=prefer sslrootcert=SOCKET/tls/absent", &[]),
    ("host=localhost port=PORT user=alice", &[("PGREQUIRESSL", "1")]),
    ("host=localhost port=PORT user=alice sslmode=nonsense", &[]),
    ("host=localhost port=PORT user=alice ssl_min_protocol_version=TLSv1.3", &[]),
    ("host=localhost port=PORT user=alice channel_binding=require", &[]),
    ("host=localhost port=PORT user=alice channel_binding=require sslmode=disable", &[]),
    ("host=SOCKET port=PORT user=alice sslmode=verify-full", &[]),
    // Several hosts and kinds of servers.
    ("host=SOCKET,localhost port=1,PORT user=alice", &[]),
    ("host=localhost,SOCKET port=1,PORT user=alice target_session_attrs=read-write", &[]),
    ("host=SOCKET port=PORT user=alice target_session_attrs=standby", &[]),
    ("host=SOCKET port=PORT user=alice target_session_attrs=prefer-standby", &[]),
    (
        "host=SOCKET port=PORT user=alice target_session_attrs=read-only options='-c default_transaction_read_only=on'",
        &[],
    ),
    // Refused connections.
    ("host=SOCKET port=PORT user=nobody", &[]),
    ("host=SOCKET port=PORT user=alice dbname=nowhere", &[]),
    ("host=SOCKET port=1 user=alice", &[]),
    ("host=SOCKET port=PORT user", &[]),
    ("host=SOCKET port=PORT user='alice", &[]),
    ("host=SOCKET port=PORT user=alice nosuch=1", &[]),
    ("postgresql://alice@%SOCKET:PORT/?nosuch=1", &[]),
    ("postgresql://alice@%SOCKET:PORT/?sslmode", &[]),
    ("postgresql://alice@%SOCKET:PORT/%0", &[]),
    ("host=SOCKET,SOCKET port=PORT,PORT,PORT user=alice", &[]),
    ("host=SOCKET port=99999 user=alice", &[]),
];

#[test]
fn psql_and_we_end_up_in_the_same_place() {
    let setup = Setup::new();
    let mut connected = 0;
    for (input, more) in CASES {
        let (input, env) = (setup.fill(input), setup.env(more));
        let (theirs, ours) = (ask_psql(&input, &env), ask_us(&input, &env));
        assert_eq!(
            ours.as_ref().ok(),
            theirs.as_ref().ok(),
            "{input} {more:?}\npsql: {theirs:?}\nwe: {ours:?}"
        );
        connected += usize::from(ours.is_ok());
    }
    assert!((40..CASES.len()).contains(&connected), "{connected} of {} cases connect", CASES.len());
}
