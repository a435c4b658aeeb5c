//! The environment for the commands of a document: a home, a small schema repository, and a server. The
//! output contains values of a reader instead of those of this machine.

use std::fs;
use std::os::unix::fs::symlink;

use crate::cluster::{self, Cluster};
use crate::sandbox::Sandbox;

/// The sandbox and the server of one document.
pub struct Stage {
    sandbox: Sandbox,
    cluster: Cluster,
}

impl Stage {
    /// Makes a repository with three migrations on `main`, tagged `v1.0` after the second, and a database
    /// `shop` with all three.
    pub fn new() -> Self {
        let mut sandbox = Sandbox::new();
        let cluster = Cluster::start();
        let bin = sandbox.path().join("bin");
        fs::create_dir(&bin).expect("fresh directory");
        symlink(env!("CARGO_BIN_EXE_git-pggit"), bin.join("git-pggit")).expect("fresh directory");
        let path = std::env::var_os("PATH").expect("tests have a PATH");
        let dirs = [bin, cluster::bin_dir().to_owned()].into_iter().chain(std::env::split_paths(&path));
        sandbox.set("PATH", std::env::join_paths(dirs).expect("PATH can be extended"));
        sandbox.set("PGHOST", cluster.dir());
        sandbox.set("PGUSER", "postgres");
        sandbox.set("GIT_PAGER", "cat");
        let stage = Self { sandbox, cluster };
        stage.set_up();
        stage
    }

    fn set_up(&self) {
        fs::create_dir(self.sandbox.home().join("backups")).expect("fresh directory");
        self.cluster.psql("postgres", "create database shop");
        let migrations = [
            (
                "0001_customers.sql",
                "create table customers (id int primary key, name text);\n",
                "customers: a table",
            ),
            ("0002_orders.sql", "create table orders (id int, customer int);\n", "orders: a table"),
            ("0003_orders_at.sql", "alter table orders add at date;\n", "orders: when"),
        ];
        for (file, sql, message) in migrations {
            self.commit(file, sql, message);
            self.cluster.psql("shop", sql);
        }
        self.sandbox.git(["tag", "v1.0", "HEAD~1"]);
        self.cluster
            .psql("shop", "insert into customers select n, 'customer ' || n from generate_series(1, 100) n");
    }

    /// Commits a migration with a fixed time, so that the commit ids are the same in every run, and older
    /// than all commands.
    fn commit(&self, file: &str, sql: &str, message: &str) {
        let dir = self.sandbox.repo().join("migrations");
        fs::create_dir_all(&dir).expect("repository is writable");
        fs::write(dir.join(file), sql).expect("repository is writable");
        let _ = self.sandbox.git(["add", "migrations"]);
        let date = format!("2025-01-{}T10:00:00Z", &file[2..4]);
        let mut git = self.sandbox.command("git");
        git.args(["commit", "-q", "-m", message])
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date);
        let output = self.sandbox.output(&mut git);
        assert_eq!(output.status, 0, "{}", output.snapshot());
    }

    /// Returns the output of the shell for `command`, including standard error. A nonzero exit status
    /// follows on a line of its own.
    pub fn run(&self, command: &str) -> String {
        let mut shell = self.sandbox.command("sh");
        let output = self.sandbox.output(shell.arg("-c").arg(format!("exec 2>&1\n{command}")));
        let mut text = self.as_a_reader_has_it(&output.stdout_text());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if output.status != 0 {
            text.push_str(&format!("(exit status {})\n", output.status));
        }
        text
    }

    fn as_a_reader_has_it(&self, text: &str) -> String {
        let replaced = [
            (self.sandbox.repo().display().to_string(), "/home/ada/shop"),
            (self.sandbox.home().display().to_string(), "/home/ada"),
            (self.sandbox.path().join("bin").display().to_string(), "/usr/local/bin"),
            (self.cluster.dir().display().to_string(), "/var/run/postgresql"),
            (cluster::bin_dir().display().to_string(), "/usr/lib/postgresql/15/bin"),
            (self.sandbox.path().display().to_string(), "/home"),
        ];
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        text.split_inclusive('\n')
            .map(|line| replaced.iter().fold(line.to_owned(), replace))
            .map(|line| rename_host(&line, host.trim()))
            .collect()
    }
}

/// Replaces a path and keeps the position of the columns to its right.
fn replace(line: String, (ours, theirs): &(String, &str)) -> String {
    let Some((before, after)) = line.split_once(ours.as_str()) else { return line };
    let word = after.find([' ', '\n']).unwrap_or(after.len());
    let (word, after) = after.split_at(word);
    let width = if after.starts_with("  ") { ours.len().saturating_sub(theirs.len()) } else { 0 };
    let rest = replace(format!("{word}{}{after}", " ".repeat(width)), &(ours.clone(), theirs));
    format!("{before}{theirs}{rest}")
}

/// Replaces the name of this machine where it is a whole word.
fn rename_host(line: &str, host: &str) -> String {
    let ends = [' ', '"', ':', '\n'];
    line.split_inclusive(ends)
        .map(|word| match word.trim_end_matches(ends) {
            bare if bare == host && !host.is_empty() => word.replacen(host, "db1", 1),
            _ => word.to_owned(),
        })
        .collect()
}
