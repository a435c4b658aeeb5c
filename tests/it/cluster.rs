//! A throw-away PostgreSQL cluster for tests for tests.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};

/// Owner of the server processes. `initdb` and `postgres` refuse to run as root.
struct Owner { uid: u32, gid: u32 }

fn owner() -> Option<Owner> {
    if fs::metadata("/proc/self").expect("procfs is mounted").uid() != 0 { return None }
    let passwd = fs::read_to_string("/etc/passwd").expect("passwd is readable");
    let line = passwd.lines().find(|l| l.starts_with("postgres:")).expect("running as root needs a `postgres` user");
    let f: Vec<_> = line.split(':').collect();
    Some(Owner { uid: f[2].parse().expect("uid"), gid: f[3].parse().expect("gid") })
}

fn bin() -> PathBuf {
    let out = Command::new("pg_config").arg("--bindir").output();
    match out { Ok(o) if o.status.success() => String::from_utf8(o.stdout).expect("utf8").trim().into(), _ => "/usr/lib/postgresql/15/bin".into() }
}

fn pg(program: &str) -> Command {
    let mut cmd = Command::new(bin().join(program));
    cmd.env_clear().env("PATH", "/usr/bin:/bin").env("LC_MESSAGES", "C").stdin(Stdio::null());
    if let Some(o) = owner() { cmd.uid(o.uid).gid(o.gid).current_dir("/"); }
    cmd
}

fn run(cmd: &mut Command) {
    let out = cmd.output().expect("program starts");
    assert!(out.status.success(), "{cmd:?}\n{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

/// Socket paths are limited to 107 bytes, so the directory name is kept short.
fn fresh_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = PathBuf::from(format!("/tmp/pgt{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&dir).expect("fresh directory");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("chmod");
    if let Some(o) = owner() { chown(&dir, Some(o.uid), Some(o.gid)).expect("chown"); }
    dir
}

/// Data directory initialised once per process and cloned by every cluster.
static SEED: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(path) = std::env::var_os("PGGIT_TEST_SEED") { return path.into(); }
    let dir = fresh_dir();
    run(pg("initdb").args(["-A", "trust", "-U", "postgres", "--no-locale", "-E", "UTF8", "--no-sync", "--no-instructions", "-D"]).arg(dir.join("data")));
    dir.join("data")
});

pub struct Cluster { dir: PathBuf }

impl Cluster {
    pub fn start() -> Cluster {
        let dir = fresh_dir();
        let mut cp = Command::new("cp"); cp.arg("-a").arg(&*SEED).arg(dir.join("data")); run(&mut cp);
        let opts = format!("-c listen_addresses='' -c unix_socket_directories={} -c fsync=off -c full_page_writes=off -c synchronous_commit=off", dir.display());
        run(pg("pg_ctl").args(["-w", "-l"]).arg(dir.join("log")).arg("-D").arg(dir.join("data")).arg("-o").arg(opts).arg("start").stdout(Stdio::null()).stderr(Stdio::null()));
        Cluster { dir }
    }
    /// The cluster shared by the tests of this process. It stops when the last
    /// holder is gone, because statics are never dropped in Rust.
    pub fn shared() -> Arc<Cluster> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut slot = SHARED.lock().unwrap_or_else(|e| e.into_inner());
        slot.upgrade().unwrap_or_else(|| { let c = Arc::new(Cluster::start()); *slot = Arc::downgrade(&c); c })
    }
    pub fn psql(&self, db: &str, sql: &str) -> String {
        let out = Command::new("psql").args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]).arg(&self.dir).args(["-d", db, "-c", sql]).output().expect("psql starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("utf8").trim().to_owned()
    }
    pub fn dir(&self) -> &Path { &self.dir }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = pg("pg_ctl").args(["-m", "immediate", "-D"]).arg(self.dir.join("data")).arg("stop").output();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

