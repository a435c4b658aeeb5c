//! Throw-away PostgreSQL clusters.
//!
//! A cluster is in a short directory directly below `/tmp`, because the path of a socket has at most 107
//! bytes. It listens on a unix socket there, and stops when it is dropped. `initdb` makes a seed data
//! directory once per version, in `target/tmp`, and every cluster is a copy of it. A reaper process waits
//! until this process exits for any reason, then stops and removes all clusters that are left.
//!
//! The programs are those of `PGGIT_TEST_PGBIN`, else of `pg_config`, else the newest below
//! `/usr/lib/postgresql`. Without PostgreSQL the tests fail: nothing is skipped silently.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The differences of a cluster from the default one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    settings: Vec<String>,
    tcp: bool,
    tls: Option<Tls>,
    major: Option<u32>,
}

/// The type of the certificate of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Signed by a throw-away authority (`tls/ca.crt`), with alternative names
    /// for `localhost` and `127.0.0.1`.
    Signed,
    /// Signed by itself, with `localhost` only in its common name, as in the PostgreSQL manual.
    SelfSigned,
    /// Signed by a throw-away authority without any extension, which makes it an X.509 certificate of
    /// version 1.
    Version1,
}

impl Options {
    /// Adds a setting `name=value` of the server.
    #[must_use]
    pub(crate) fn setting(mut self, assignment: &str) -> Self {
        self.settings.push(assignment.to_owned());
        self
    }

    /// Also listens on 127.0.0.1, where every role needs its SCRAM password.
    #[must_use]
    pub(crate) fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Listens with TLS on 127.0.0.1.
    #[must_use]
    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self.tcp()
    }

    /// Uses this major version, which `tests/prepare.sh` installs into `target/postgresql`.
    #[must_use]
    pub(crate) fn major(mut self, major: u32) -> Self {
        self.major = Some(major);
        self
    }

    fn bin_dir(&self) -> PathBuf {
        self.major
            .map_or_else(|| bin_dir().to_owned(), |major| versions().join(major.to_string()).join("bin"))
    }

    /// Starts a server on the directory `data` in a directory that [`fresh_dir`] made.
    pub(crate) fn start_in(&self, dir: PathBuf) -> Cluster {
        let cluster = Cluster { dir, port: 5432, bin: self.bin_dir() };
        let out = cluster.pg_ctl_start(self);
        let log = fs::read_to_string(cluster.dir.join("log")).unwrap_or_default();
        assert!(out.status.success(), "the cluster does not start:\n{log}");
        cluster
    }

    /// Starts the cluster.
    pub(crate) fn start(&self) -> Cluster {
        Cluster::start_with(self)
    }
}

/// One running cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: PathBuf,
    port: u16,
    bin: PathBuf,
}

impl Cluster {
    /// Starts a separate cluster on a unix socket.
    pub(crate) fn start() -> Cluster {
        Cluster::start_with(&Options::default())
    }

    /// Returns the cluster shared by the tests of this process. It stops when the last user drops it,
    /// because Rust never drops statics.
    pub(crate) fn shared() -> Arc<Cluster> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        slot.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Cluster::start());
            *slot = Arc::downgrade(&cluster);
            cluster
        })
    }

    fn start_with(options: &Options) -> Cluster {
        let dir = fresh_dir();
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(seed(&options.bin_dir()))
            .arg(dir.join("data")));
        if options.tcp {
            let hba = "local all all trust\nlocal replication all trust\n\
                       host all all 127.0.0.1/32 scram-sha-256\n";
            fs::write(dir.join("data/pg_hba.conf"), hba).expect("pg_hba.conf is writable");
        }
        if let Some(tls) = options.tls {
            make_certificates(&dir, tls);
        }
        // PostgreSQL does not accept port 0, so a port that was free before is used, with several attempts.
        for _ in 0..5 {
            let port = if options.tcp { free_port() } else { 5432 };
            let cluster = Cluster { dir: dir.clone(), port, bin: options.bin_dir() };
            let out = cluster.pg_ctl_start(options);
            if out.status.success() {
                return cluster;
            }
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            std::mem::forget(cluster);
            assert!(
                options.tcp && log.contains("Address already in use"),
                "the cluster does not start:\n{log}"
            );
        }
        panic!("no free port found in five attempts");
    }

    fn pg_ctl_start(&self, options: &Options) -> Output {
        let listen = if options.tcp { "127.0.0.1" } else { "" };
        let mut server = format!(
            "-c listen_addresses='{listen}' -c port={} -c unix_socket_directories={} \
             -c fsync=off -c full_page_writes=off -c synchronous_commit=off",
            self.port,
            self.dir.display()
        );
        if options.tls.is_some() {
            let tls = self.dir.join("tls").display().to_string();
            server +=
                &format!(" -c ssl=on -c ssl_cert_file={tls}/server.crt -c ssl_key_file={tls}/server.key");
        }
        for setting in &options.settings {
            server += &format!(" -c '{setting}'");
        }
        let mut command = pg(&self.bin, "pg_ctl");
        command.args(["-w", "-l"]).arg(self.dir.join("log")).arg("-D").arg(self.dir.join("data"));
        command.arg("-o").arg(server).arg("start").stdout(Stdio::null()).stderr(Stdio::null());
        command.output().expect("pg_ctl starts")
    }

    /// Stops the server and keeps its files.
    pub(crate) fn stop(&self) {
        let _ = pg(&self.bin, "pg_ctl")
            .args(["-m", "immediate", "-D"])
            .arg(self.dir.join("data"))
            .arg("stop")
            .output();
    }

    /// Starts a server that was stopped.
    pub(crate) fn start_again(&self) {
        let out = self.pg_ctl_start(&Options::default());
        assert!(out.status.success(), "the cluster does not start again");
    }

    /// Returns the directory of the socket, which contains `data`, `log` and `tls`.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the directory of the programs of its version.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// Returns the port, which is also part of the name of the socket.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs `sql` as superuser and returns its unaligned output.
    #[track_caller]
    pub(crate) fn psql(&self, db: &str, sql: &str) -> String {
        let out = self.try_psql(db, sql);
        assert!(out.status.success(), "{sql}\n{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("psql prints UTF-8").trim_end_matches('\n').to_owned()
    }

    /// Like [`Cluster::psql`], for statements that may fail.
    pub(crate) fn try_psql(&self, db: &str, sql: &str) -> Output {
        let mut command = client_of(&self.bin, "psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.conninfo(db)).args(["-c", sql]);
        command.output().expect("psql starts")
    }

    /// Waits in the server until `condition` is true.
    #[track_caller]
    pub(crate) fn wait_until(&self, db: &str, condition: &str) {
        let sql = format!(
            "do $$ begin for i in 1..3000 loop exit when ({condition}); perform pg_sleep(0.02); perform \
             pg_stat_clear_snapshot(); end loop; end $$"
        );
        self.psql(db, &sql);
        assert_eq!(self.psql(db, &format!("select ({condition})")), "t", "{condition}");
    }

    /// Creates an empty database for one test. Its name begins with `prefix`.
    pub(crate) fn create_database(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("create database \"{}\"", name.replace('"', "\"\"")));
        name
    }

    /// Returns a URI for `db` over the socket as superuser.
    pub(crate) fn url(&self, db: &str) -> String {
        let host = percent_encode(&self.dir.to_string_lossy());
        format!("postgresql:///{}?host={host}&port={}&user=postgres", percent_encode(db), self.port)
    }

    /// Returns a keyword/value connection string for `db` over the socket as superuser.
    pub(crate) fn conninfo(&self, db: &str) -> String {
        let db = db.replace('\\', "\\\\").replace('\'', "\\'");
        format!("host='{}' port={} user=postgres dbname='{db}'", self.dir.display(), self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Returns a client program of the tested PostgreSQL with an empty environment.
pub(crate) fn client(program: &str) -> Command {
    client_of(bin_dir(), program)
}

fn client_of(bin: &Path, program: &str) -> Command {
    let mut command = Command::new(bin.join(program));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_MESSAGES", "C").stdin(Stdio::null());
    command
}

/// Returns the directory of the programs of the tested PostgreSQL.
pub(crate) fn bin_dir() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        let found = std::env::var_os("PGGIT_TEST_PGBIN").map(PathBuf::from).or_else(ask_pg_config);
        let dir = found.filter(|dir| dir.join("initdb").exists()).or_else(newest_installed);
        dir.expect(
            "these tests need PostgreSQL: install the server or set PGGIT_TEST_PGBIN to its bin directory",
        )
    })
}

fn ask_pg_config() -> Option<PathBuf> {
    let out = Command::new("pg_config").arg("--bindir").output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().into())
}

fn newest_installed() -> Option<PathBuf> {
    assert!(
        std::env::var_os("PGGIT_TEST_PGBIN").is_none(),
        "no initdb in the directory PGGIT_TEST_PGBIN names"
    );
    let dirs = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let versions = dirs.filter_map(|d| d.file_name().to_str().and_then(|n| n.parse::<u32>().ok()));
    let bin = |version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    versions.filter(|&v| bin(v).join("initdb").exists()).max().map(bin)
}

/// Returns the owner of the server processes: `initdb` and `postgres` refuse to run as root.
pub(crate) fn owner() -> Option<(u32, u32)> {
    static OWNER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *OWNER.get_or_init(|| {
        if fs::metadata("/proc/self").expect("procfs is mounted").uid() != 0 {
            return None;
        }
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
        let line = passwd.lines().find(|line| line.starts_with("postgres:"));
        let fields: Vec<_> = line.expect("running as root needs a user `postgres`").split(':').collect();
        Some((fields[2].parse().expect("uid is a number"), fields[3].parse().expect("gid is a number")))
    })
}

/// Returns the directory of the versions of PostgreSQL that the system lacks.
pub(crate) fn versions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/postgresql")
}

/// Returns a program of servers that runs as their owner.
pub(crate) fn pg(bin: &Path, program: &str) -> Command {
    let mut command = client_of(bin, program);
    if let Some((uid, gid)) = owner() {
        command.uid(uid).gid(gid).current_dir("/");
    }
    command
}

#[track_caller]
fn run(command: &mut Command) {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}\n{stdout}{stderr}");
}

/// Waits between two polls, and leaves the processor to other processes.
pub(crate) fn pause() {
    let (until, began) = (Duration::from_millis(20), Instant::now());
    while let Some(left) = until.checked_sub(began.elapsed()) {
        std::thread::park_timeout(left);
    }
}

/// Creates an empty directory of the owner of servers, which is removed when this process exits.
pub(crate) fn fresh_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    LazyLock::force(&REAPER);
    let dir = PathBuf::from(format!("{}{}", dir_prefix(), NEXT.fetch_add(1, Ordering::Relaxed)));
    // A killed process with the same id left this directory.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a fresh directory can be made in /tmp");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("own directory");
    give_to_owner(&dir);
    dir
}

fn dir_prefix() -> String {
    format!("/tmp/pgt{}-", std::process::id())
}

pub(crate) fn give_to_owner(path: &Path) {
    if let Some((uid, gid)) = owner() {
        chown(path, Some(uid), Some(gid)).expect("root may give files away");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
    listener.local_addr().expect("bound").port()
}

/// Returns the data directory of this version that every cluster is a copy of. It is made once and kept in
/// `target/tmp/clusters`. It gets its name when it is complete, so that a process that crashes while making
/// it does not leave an incomplete one under that name.
fn seed(bin: &Path) -> PathBuf {
    static SEEDS: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut seeds = SEEDS.lock().unwrap_or_else(PoisonError::into_inner);
    seeds.entry(bin.to_owned()).or_insert_with(|| shared_seed(bin)).clone()
}

const INITDB_OPTIONS: [&str; 7] = ["-A", "trust", "-U", "postgres", "--no-locale", "-EUTF8", "--no-sync"];

fn shared_seed(bin: &Path) -> PathBuf {
    assert!(bin.join("initdb").exists(), "no PostgreSQL in {}: run tests/prepare.sh test", bin.display());
    let version = client_of(bin, "initdb").arg("--version").output().expect("initdb starts").stdout;
    let key =
        format!("{} {INITDB_OPTIONS:?} {:?} {}", bin.display(), owner(), String::from_utf8_lossy(&version));
    let seeds = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clusters");
    fs::create_dir_all(&seeds).expect("target is writable");
    let seed = seeds.join(&blake3::hash(key.as_bytes()).to_hex()[..16]);
    // Other processes wait here; the lock is released when this process exits.
    let lock = fs::File::create(seed.with_extension("lock")).expect("target is writable");
    lock.lock().expect("files can be locked");
    if !seed.exists() {
        let (made, unfinished) = (fresh_dir().join("data"), seed.with_extension("unfinished"));
        run(pg(bin, "initdb").args(INITDB_OPTIONS).arg("-D").arg(&made));
        let _ = fs::remove_dir_all(&unfinished);
        run(Command::new("cp").arg("-a").arg(&made).arg(&unfinished));
        fs::rename(&unfinished, &seed).expect("target is writable");
        let _ = fs::remove_dir_all(made);
    }
    seed
}

/// Waits until this process exits, which closes the standard input of the reaper. Then it stops and removes
/// every cluster of this process.
static REAPER: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let script = r#"
        cat >/dev/null
        for dir in "$1"*; do
            pid=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
            while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
            rm -rf "$dir"
        done"#;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "reaper"]).arg(dir_prefix()).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Mutex::new(command.spawn().expect("/bin/sh starts"))
});

fn make_certificates(dir: &Path, tls: Tls) {
    let dir = dir.join("tls");
    fs::create_dir(&dir).expect("own directory");
    let openssl = |args: &[&str]| run(Command::new("openssl").args(args).current_dir(&dir));
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
    match tls {
        Tls::SelfSigned => {
            let rest = ["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.crt"];
            openssl(&[&["req", "-x509"], &key[..], &rest].concat());
        }
        Tls::Signed | Tls::Version1 => {
            let ca = ["-subj", "/CN=throw-away", "-keyout", "ca.key", "-out", "ca.crt"];
            openssl(&[&["req", "-x509"], &key[..], &ca].concat());
            let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
            fs::write(dir.join("ext"), names).expect("own directory");
            let request = ["-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"];
            openssl(&[&["req"], &key[..5], &request].concat());
            let sign =
                ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
            let rest = ["-days", "30", "-out", "server.crt", "-extfile", "ext"];
            let rest = if tls == Tls::Signed { &rest[..] } else { &rest[..4] };
            openssl(&[&sign[..], rest].concat());
        }
    }
    let server_key = dir.join("server.key");
    fs::set_permissions(&server_key, fs::Permissions::from_mode(0o600)).expect("own file");
    give_to_owner(&server_key);
}

/// Percent-encodes all characters that are special in a URI.
pub(crate) fn percent_encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Returns an environment variable.
pub(crate) fn env_pair(name: &str, value: impl Into<OsString>) -> (OsString, OsString) {
    (name.into(), value.into())
}
