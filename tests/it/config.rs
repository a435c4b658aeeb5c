//! The configuration as users see it: through the files of git and the commands.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use pggit::config::{KEYS, KeyScope};

use crate::sandbox::{Output, Sandbox};

/// Returns the output of `config` without any setting: every key of the whole repository with its default.
fn table_of_nothing() -> String {
    let keys = KEYS.iter().filter(|key| key.reach == KeyScope::Global);
    let rows: Vec<[String; 4]> = keys
        .map(|key| {
            let value = key.default.unwrap_or("-").to_owned();
            let origin = if key.default.is_some() { "default" } else { "-" };
            [key.full_name(""), value.clone(), value, origin.to_owned()]
        })
        .collect();
    let header = ["KEY", "VALUE", "DEFAULT", "ORIGIN"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let widths: Vec<usize> = (0..4).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap()).collect();
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect::<String>() + "[exit 0]\n"
}

/// Returns the value of `key` in the output of `config --json`, with its origin.
#[track_caller]
fn value(output: &Output, key: &str) -> (String, String) {
    let json = output.json();
    let keys = json["keys"].as_array().unwrap();
    let row = keys.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}: {json:#}"));
    let last = row["values"].as_array().unwrap().last().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    (text(&last["value"]), text(&last["origin"]["kind"]))
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn without_settings_everything_is_the_default() {
    assert_eq!(Sandbox::new().pggit(["config"]).snapshot(), table_of_nothing());
    assert_eq!(Sandbox::without_repository().pggit(["config"]).snapshot(), table_of_nothing());
}

#[test]
fn every_place_of_git_is_read_and_the_nearest_counts() {
    let mut sandbox = Sandbox::new();
    let level =
        |sandbox: &Sandbox| value(&sandbox.pggit(["config", "--json"]).success(), "pggit.compressionLevel");
    sandbox.commit(".pggitconfig", "[pggit]\n\tcompressionLevel = 1\n", "policy");
    assert_eq!(level(&sandbox), pair("1", "committed"));
    sandbox.git(["config", "--global", "pggit.compressionLevel", "2"]);
    assert_eq!(level(&sandbox), pair("2", "global"));
    sandbox.git(["config", "pggit.compressionlevel", "4"]);
    assert_eq!(level(&sandbox), pair("4", "local"));
    sandbox.git(["config", "extensions.worktreeConfig", "true"]);
    sandbox.git(["config", "--worktree", "pggit.compressionLevel", "5"]);
    assert_eq!(level(&sandbox), pair("5", "worktree"));
    sandbox.set("GIT_CONFIG_COUNT", "1");
    sandbox.set("GIT_CONFIG_KEY_0", "pggit.compressionLevel");
    sandbox.set("GIT_CONFIG_VALUE_0", "6");
    assert_eq!(level(&sandbox), pair("6", "command"));
    sandbox.set("GIT_CONFIG_PARAMETERS", "'pggit.compressionlevel'='7'");
    assert_eq!(level(&sandbox), pair("7", "command"));
    sandbox.set("PGGIT_COMPRESSION_LEVEL", "8");
    assert_eq!(level(&sandbox), pair("8", "environment"));
}

#[test]
fn git_hands_its_own_options_down() {
    let mut sandbox = Sandbox::new();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_git-pggit")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(program).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    sandbox.set("PATH", path.unwrap());
    let mut git = sandbox.command("git");
    git.args(["-c", "pggit.main.url=service=it's", "pggit", "config", "--json"]);
    let output = sandbox.output(&mut git).success();
    assert_eq!(value(&output, "pggit.main.url"), pair("service=it's", "command"));
}

#[test]
fn included_files_are_named_as_the_origin() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.home().join("more"), "[pggit]\n\tplainDir = ~/backups\n").unwrap();
    sandbox.git(["config", "--global", "include.path", "~/more"]);
    let output = sandbox.pggit(["config"]);
    let line = output.snapshot().lines().find(|line| line.starts_with("pggit.plainDir")).unwrap().to_owned();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["pggit.plainDir", "~/backups", "-", "[SANDBOX]/home/more", "(global)"]
    );
}

#[test]
fn the_committed_policy_is_that_of_head_even_in_a_bare_repository() {
    let mut sandbox = Sandbox::new();
    sandbox.commit(".pggitconfig", "[pggit \"main\"]\n\tformat = tar\n", "policy");
    fs::write(sandbox.repo().join(".pggitconfig"), "[pggit \"main\"]\n\tformat = plain\n").unwrap();
    let output = sandbox.pggit(["config", "--json"]).success();
    assert_eq!(value(&output, "pggit.main.format"), pair("tar", "committed"));
    sandbox.git(["clone", "-q", "--bare", ".", "../bare.git"]);
    sandbox.set("GIT_DIR", sandbox.path().join("bare.git"));
    let output = sandbox.pggit(["config", "--json"]).success();
    assert_eq!(value(&output, "pggit.main.format"), pair("tar", "committed"));
}

#[test]
fn a_committed_file_cannot_name_hosts_and_includes_nothing() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.home().join("secret"), "[pggit]\n\tcompressionLevel = 9\n").unwrap();
    let policy = format!(
        "[include]\n\tpath = {}\n[pggit]\n\tpgBinDir = /evil\n[pggit \"main\"]\n\turl = host=evil\n\tjobs = 2\n",
        sandbox.home().join("secret").display()
    );
    sandbox.commit(".pggitconfig", policy, "policy");
    let output = sandbox.pggit(["database", "show"]).success();
    assert_eq!(
        output.stderr_text(),
        "warning: ignored pggit.pgBinDir in .pggitconfig: only your own git configuration may set it\n\
         warning: ignored pggit.main.url in .pggitconfig: only your own git configuration may set it\n"
    );
    let shown = output.stdout_text();
    let origins: Vec<Vec<&str>> =
        shown.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert!(origins.iter().any(|row| row[..] == ["pggit.main.jobs", "2", "-", ".pggitconfig"]), "{shown}");
    let others = origins.iter().filter(|row| row[0] != "pggit.main.jobs");
    assert!(others.clone().all(|row| matches!(*row.last().unwrap(), "default" | "-")), "{shown}");
    assert_eq!(
        others.count(),
        pggit::config::KEYS.iter().filter(|it| it.reach == pggit::config::KeyScope::Database).count() - 1
    );
}

#[test]
fn a_broken_committed_file_is_a_clear_error() {
    let sandbox = Sandbox::new();
    sandbox.commit(".pggitconfig", "[pggit\nnonsense", "policy");
    let output = sandbox.pggit(["--json", "config"]).fails(19);
    let error = output.json_error();
    assert_eq!(error["error"]["code"], "configuration");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(".pggitconfig: not a valid git configuration"), "{message}");
}

#[test]
fn every_wrong_value_is_reported_with_its_file() {
    let sandbox = Sandbox::new();
    sandbox.git(["config", "pggit.main.jobs", "many"]);
    sandbox.git(["config", "--global", "pggit.main.timeout", "soon"]);
    sandbox.git(["config", "pggit.databse", "main"]);
    let output = sandbox.pggit(["config"]).fails(19);
    assert_eq!(
        output.snapshot().split_once("[stderr]\n").unwrap().1,
        "\
warning: unknown key pggit.databse in [SANDBOX]/repo/.git/config (local); did you mean pggit.database?
error: bad value 'soon' for pggit.main.timeout in [SANDBOX]/home/.gitconfig (global): expected a number above \
         0 and a unit (s, m, h, d or w), such as 90s, 30m or 2h
  because: bad value 'many' for pggit.main.jobs in [SANDBOX]/repo/.git/config (local): expected a number from 1 to 256
[exit 19]
"
    );
}

#[test]
fn durations_have_the_same_units_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.git(["config", "pggit.shop.url", "postgresql://db/shop"]);
    let setting = |name: &str, value: String| {
        sandbox.git(["config", &format!("pggit.shop.{name}"), &value]);
        let output = sandbox.pggit(["config"]);
        sandbox.git(["config", "--unset", &format!("pggit.shop.{name}")]);
        output
    };
    let settings = |span: &str| {
        [
            setting("timeout", span.to_owned()),
            setting("verify", format!("restore-test every {span}")),
            setting("schedule", format!("daily jitter={span}")),
        ]
    };
    let options = |span: &str| {
        [
            sandbox.pggit(["backup", "list", "--since", span]),
            sandbox.pggit(["backup", "verify", "--all", "--window", span]),
            sandbox.pggit(["backup", "verify", "--all", "--timeout", span]),
            sandbox.pggit(["queue", "clean", "--older-than", span]),
            sandbox.pggit(["worker", "--until-idle", "--grace", span]),
        ]
    };
    for span in ["90s", "30m", "12h", "1d"] {
        settings(span).iter().chain(&options(span)).for_each(|output| assert_eq!(output.status, 0, "{span}"));
    }
    options("2w").iter().for_each(|output| assert_eq!(output.status, 0, "{}", output.snapshot()));
    for output in settings("2y") {
        assert!(output.fails(19).stderr_text().contains("m, h, d"));
    }
    for output in options("2y") {
        assert!(output.fails(129).stderr_text().contains("s, m, h, d"));
    }
}

#[test]
fn a_password_is_refused_and_never_shown() {
    let sandbox = Sandbox::new();
    let add = |url: &str| sandbox.pggit(["database", "add", "main", "--url", url]);
    let refused = add("postgresql://app:s3cret@db/shop").fails(129);
    assert_eq!(
        refused.snapshot(),
        "\
[stderr]
error: bad value for pggit.main.url: it contains a password
hint: remove the password from the URL and put it into ~/.pgpass, a service file or PGPASSWORD
hint: change the password, too, if other people could read the URL
[exit 129]
"
    );
    let keywords = add("host=db password=s3cret").fails(129);
    sandbox.git(["config", "pggit.main.url", "postgresql://app:s3cret@db/shop"]);
    let table = sandbox.pggit(["config"]).fails(19);
    let json = sandbox.pggit(["config", "--json"]).fails(19);
    let list = sandbox.pggit(["database", "list"]).fails(19);
    for output in [refused, keywords, table, json, list] {
        assert!(!output.snapshot().contains("s3cret"), "{}", output.snapshot());
    }
}

#[test]
fn databases_are_added_listed_shown_and_removed() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| sandbox.pggit(["database"].iter().chain(args));
    assert_eq!(
        run(&["list"]).snapshot(),
        "[stderr]\nhint: no database is configured; add one with 'git pggit database add <name> --url <url>'\n\
         [exit 0]\n"
    );
    let added = "[stderr]\nadded database 'main' to the repository's configuration\n[exit 0]\n";
    let schema = "--schema=-odd \"name\"\n";
    let add = [
        "add",
        "main",
        "--url",
        "service=shop",
        "--format",
        "directory",
        "--jobs=4",
        schema,
        "--output=dumps",
    ];
    assert_eq!(run(&add).snapshot(), added);
    assert_eq!(sandbox.git(["config", "--local", "pggit.main.schema"]), "-odd \"name\"");
    assert_eq!(
        sandbox.git(["config", "--local", "pggit.main.plainDir"]),
        sandbox.repo().join("dumps").display().to_string()
    );
    let twice = run(&add).fails(12);
    assert!(twice.stderr_text().contains("database 'main' already exists"), "{}", twice.snapshot());
    run(&["add", "stats", "--url=postgresql://h/stats", "--global"]).success();
    sandbox.git(["config", "pggit.database", "main"]);
    assert_eq!(
        run(&["list"]).snapshot(),
        "   NAME   TOOL     TYPE  FORMAT     URL\n\
         *  main   pg_dump  full  directory  service=shop\n   stats  pg_dump  full  custom     postgresql://h/stats\n\
         [exit 0]\n"
    );
    let list = run(&["list", "--json"]).json();
    assert_eq!(list["databases"][0]["name"], "main");
    assert_eq!(list["databases"][0]["default"], true);
    assert_eq!(
        run(&["remove", "stats"]).snapshot(),
        "[stderr]\nerror: database 'stats' is not in the repository's configuration\n\
         hint: it is in the global one: 'git pggit database remove --global stats'\n[exit 10]\n"
    );
    run(&["remove", "--global", "stats"]).success();
    assert_eq!(
        run(&["remove", "main"]).snapshot(),
        "[stderr]\n'main' is no longer the default database\n\
         removed database 'main' from the repository's configuration\nits backups and their records are kept\n[exit 0]\n"
    );
    assert_eq!(sandbox.pggit(["config"]).snapshot(), table_of_nothing());
}

#[test]
fn bad_names_and_values_write_nothing() {
    let sandbox = Sandbox::new();
    let before = fs::read(sandbox.repo().join(".git/config")).unwrap();
    let huge = "x".repeat(10_000);
    for name in ["", "../x", "a/b", ".x", "a\nb", "a\"b", "größe", &huge] {
        let output = sandbox.pggit(["database", "add", "--url=service=x", "--", name]).fails(129);
        assert!(output.stderr.len() < 500, "{}", output.snapshot());
    }
    sandbox.pggit(["database", "add", "-x", "--url=service=x"]).fails(129);
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    let mut command = sandbox.pggit_command();
    command.args(["database", "add", "--url=service=x"]).arg(name);
    sandbox.output(&mut command).fails(129);
    for option in [
        "--jobs=0",
        "--format=zip",
        "--compression-level=23",
        "--timeout=1",
        "--globals=maybe",
        "--tool=../sh",
    ] {
        sandbox.pggit(["database", "add", "main", "--url=service=x", option]).fails(129);
    }
    for url in ["", "mysql://x", "nonsense", "-h x"] {
        sandbox.pggit(["database", "add", "main", "--url", url]).fails(129);
    }
    assert_eq!(fs::read(sandbox.repo().join(".git/config")).unwrap(), before);
}

#[test]
fn a_database_needs_a_repository_or_the_user_s_own_file() {
    let sandbox = Sandbox::without_repository();
    let add =
        |extra: &[&str]| sandbox.pggit(["database", "add", "main", "--url=service=x"].iter().chain(extra));
    assert_eq!(
        add(&[]).snapshot(),
        "[stderr]\nerror: not a git repository (or any of the parent directories): .git\n\
         hint: run the command inside of your schema repository, or name the repository with -C <dir>\n[exit 18]\n"
    );
    add(&["--global"]).success();
    let output = sandbox.pggit(["config", "--json"]).success();
    assert_eq!(value(&output, "pggit.main.url"), pair("service=x", "global"));
}

#[test]
fn a_locked_file_is_worth_another_try() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.repo().join(".git/config.lock"), "").unwrap();
    let output = sandbox.pggit(["--json", "database", "add", "main", "--url=service=x"]).fails(17);
    assert_eq!(output.json_error()["error"]["code"], "busy");
}

#[test]
fn values_survive_the_way_through_git() {
    use pggit::git::config::{ConfigFile, ConfigWriter, GitProgram};
    let sandbox = Sandbox::new();
    // The writer runs git in the environment of this process, so it gets the file of the repository and not
    // the configuration of the user.
    let git = GitProgram { dir: sandbox.repo() };
    let writer = ConfigWriter::new(&git, ConfigFile::Local);
    let hostile =
        ["-x", "--global", "", " spaces ", "a;b#c", "quo\"te\\", "line\nbreak\t", "größe", "$(id)`id`"];
    for value in hostile {
        writer.add("pggit.main.schema", value.as_ref()).unwrap();
    }
    let stored =
        sandbox.output(sandbox.command("git").args(["config", "-z", "--get-all", "pggit.main.schema"]));
    assert_eq!(stored.stdout_text().trim_end_matches('\0').split('\0').collect::<Vec<_>>(), hostile);
    assert!(writer.add("pggit.main.schema", "a\0b".as_ref()).is_err());
    let shown = sandbox.pggit(["database", "show", "main", "--json"]);
    let keys = shown.json()["keys"].as_array().unwrap().clone();
    let row = keys.iter().find(|row| row["key"] == "pggit.main.schema").unwrap();
    let values: Vec<_> =
        row["values"].as_array().unwrap().iter().map(|v| v["value"].as_str().unwrap()).collect();
    assert_eq!(values, hostile);
    writer.set("pggit.main.schema", "-only".as_ref()).unwrap();
    assert_eq!(sandbox.git(["config", "--get-all", "pggit.main.schema"]), "-only");
    assert!(writer.unset("pggit.main.schema").unwrap());
    assert!(!writer.unset("pggit.main.schema").unwrap());
    assert!(!writer.remove_section("pggit.nothing").unwrap());
}

#[test]
fn a_key_without_a_value_does_not_take_the_next_one_s() {
    let sandbox = Sandbox::new();
    let path = sandbox.repo().join(".git/config");
    let text =
        fs::read_to_string(&path).unwrap() + "[pggit \"main\"]\n\trecordSchema\n\tjobs = 3\n\tformat = tar\n";
    fs::write(path, text).unwrap();
    let output = sandbox.pggit(["config", "--json"]).success();
    assert_eq!(value(&output, "pggit.main.recordSchema"), pair("true", "local"));
    assert_eq!(value(&output, "pggit.main.jobs"), pair("3", "local"));
}

#[test]
fn a_retired_key_is_an_error_that_says_the_new_name() {
    let sandbox = Sandbox::new();
    sandbox.commit("a.sql", "select 1", "a");
    for (old, new) in
        [("pggit.shop.recordCounts", "pggit.shop.recordRowCounts"), ("pggit.pgbin", "pggit.pgBinDir")]
    {
        sandbox.git(["config", old, "true"]);
        for command in [&["config"][..], &["backup", "create"], &["database", "list"]] {
            let said = sandbox.pggit(command).fails(19).stderr_text();
            assert!(said.contains(&format!("was renamed to {new}")), "{command:?}: {said}");
            assert!(said.contains(&format!("git config --unset {old}")), "{said}");
        }
        sandbox.git(["config", "--unset", old]);
    }
    // Other users write the committed file, so a retired key in it is ignored with a warning.
    sandbox.commit(".pggitconfig", "[pggit \"shop\"]\n\tautoSize = 1G\n\tjobs = 2\n", "policy");
    let said = sandbox.pggit(["database", "list"]).success().stderr_text();
    assert!(
        said.contains("ignored pggit.shop.autoSize") && said.contains("renamed to pggit.shop.autoThreshold"),
        "{said}"
    );
}

#[test]
fn a_store_has_a_name() {
    let sandbox = Sandbox::new();
    sandbox.commit("a.sql", "select 1", "a");
    let place = sandbox.path().join("offsite");
    let shown = |args: &[&str]| sandbox.pggit([&["store", "show"], args].concat());
    sandbox.git(["config", "pggit.store", "offsite"]);
    let said = shown(&[]).fails(19).stderr_text();
    assert!(said.contains("unknown store 'offsite'") && said.contains("pggit.store.offsite.url"), "{said}");
    sandbox.git(["config", "pggit.store.offsite.url", place.to_str().unwrap()]);
    sandbox.pggit(["store", "init"]).success();
    assert!(place.join("config").is_file());
    shown(&[]).success();
    // On a command line too; a directory with that name is ./offsite.
    sandbox.git(["config", "--unset", "pggit.store"]);
    assert!(shown(&["--store", "offsite"]).success().stdout_text().contains("offsite"));
    shown(&["--store", "./offsite"]).fails(10);
    // The committed configuration of a clone does not define stores.
    sandbox.git(["config", "--unset", "pggit.store.offsite.url"]);
    sandbox.commit(".pggitconfig", "[pggit \"store.offsite\"]\n\turl = /evil\n", "policy");
    sandbox.git(["config", "pggit.store", "offsite"]);
    assert!(shown(&[]).fails(19).stderr_text().contains("unknown store"));
    // The name is reserved and cannot be that of a database.
    for name in ["store", "store.offsite", "group", "server.a", "clone", "tool"] {
        let said = sandbox.pggit(["database", "add", name, "--url", "host=x"]).fails(129).stderr_text();
        assert!(said.contains("a database name cannot be"), "{said}");
    }
}
