//! Tests of the rules of precedence and trust, with values in git's syntax.

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::domain::Globals;
use crate::domain::{Compression, DumpFormat};
use crate::git::config::{Scope, parse_blob};

fn written(text: &str, scope: Scope) -> Vec<Entry> {
    let mut entries = parse_blob(text.as_bytes(), scope.as_str()).unwrap();
    for entry in &mut entries {
        entry.scope = scope;
        entry.trusted = scope != Scope::Blob;
    }
    entries
}

struct Given<'a> {
    global: &'a str,
    local: &'a str,
    committed: &'a str,
    environment: &'a [(&'a str, &'a str)],
}

const NOTHING: Given<'_> = Given { global: "", local: "", committed: "", environment: &[] };

fn load(given: &Given<'_>) -> Config {
    let git = [written(given.global, Scope::Global), written(given.local, Scope::Local)].concat();
    let environment = given.environment.iter().copied().collect();
    Config::load(&git, &written(given.committed, Scope::Blob), &environment)
}

/// Returns the origin of the value of a key of the database `main`.
fn origin_of(config: &Config, key: &str) -> Origin {
    let row = config.rows_of(&name("main")).into_iter().find(|row| row.key == key).unwrap();
    row.values.last().unwrap().origin.clone()
}

fn name(text: &str) -> DatabaseName {
    text.parse().unwrap()
}

#[test]
fn without_anything_everything_is_the_default() {
    let config = load(&NOTHING);
    assert_eq!(config.default_database(None), Err(Error::NoDatabase));
    assert_eq!(config.warnings(), []);
    assert_eq!(config.problems(), []);
    let main = config.database(&name("main")).unwrap();
    assert_eq!(main.dump.format, DumpFormat::Custom);
    assert_eq!(origin_of(&config, "pggit.main.format"), Origin::Default);
    assert_eq!(main.compression.value, Compression::Zstd(3));
    assert_eq!(main.dump.globals, Globals::All);
    assert!(main.record_schema.value);
    assert_eq!((main.url, main.dump.jobs, main.output, main.timeout), (None, None, None, None));
}

#[test]
fn the_environment_counts_before_git_and_git_before_the_committed_file() {
    let mut given = Given {
        committed: "[pggit \"main\"]\n format = tar\n jobs = 2\n timeout = 30m",
        global: "[pggit \"main\"]\n format = plain\n compressionlevel = 5",
        local: "[pggit \"main\"]\n url = service=x\n FORMAT = directory",
        environment: &[],
    };
    let config = load(&given);
    let main = config.database(&name("main")).unwrap();
    assert_eq!(main.dump.format, DumpFormat::Directory);
    let local = Origin::Git { scope: Scope::Local, file: "local".into() };
    assert_eq!(origin_of(&config, "pggit.main.format"), local);
    assert_eq!(main.dump.jobs, NonZeroU32::new(2));
    assert_eq!(origin_of(&config, "pggit.main.jobs"), Origin::Committed);
    assert_eq!(main.timeout.unwrap().value, Duration::from_secs(1800));
    assert_eq!(main.compression.value, Compression::Zstd(5));
    given.environment = &[("PGGIT_COMPRESSION_LEVEL", "none")];
    let main = load(&given).database(&name("main")).unwrap();
    assert_eq!(
        main.compression,
        Setting { value: Compression::None, origin: Origin::Environment("PGGIT_COMPRESSION_LEVEL") }
    );
}

#[test]
fn a_database_s_own_key_counts_before_the_general_one() {
    let given = Given {
        local: "[pggit]\n plainDir = /all\n compressionLevel = 9",
        global: "[pggit \"main\"]\n plainDir = ~/main",
        environment: &[("HOME", "/home/me")],
        ..NOTHING
    };
    let config = load(&given);
    let main = config.database(&name("main")).unwrap();
    assert_eq!(main.output.unwrap().value, std::path::Path::new("/home/me/main"));
    assert_eq!(main.compression.value, Compression::Zstd(9));
    let other = config.database(&name("other")).unwrap();
    assert_eq!(other.output.unwrap().value, std::path::Path::new("/all"));
}

#[test]
fn a_repository_may_be_relative_to_the_top() {
    let top = std::path::Path::new("/src/shop");
    let repository = |local: &str| {
        let environment = &[("HOME", "/home/me")];
        let config = load(&Given { local, environment, ..NOTHING });
        config.repository(top).unwrap().map(|set| set.value)
    };
    assert_eq!(repository(""), None);
    assert_eq!(repository("[pggit]\n repository ="), None);
    assert_eq!(repository("[pggit]\n repository = ../meta"), Some("/src/shop/../meta".into()));
    assert_eq!(repository("[pggit]\n repository = ~/meta"), Some("/home/me/meta".into()));
    assert_eq!(repository("[pggit]\n repository = /srv/meta"), Some("/srv/meta".into()));
}

#[test]
fn the_level_of_the_log_stops_no_worker() {
    let level = |local: &str| load(&Given { local, ..NOTHING }).log_level();
    assert_eq!(level(""), "info");
    assert_eq!(level("[pggit]\n logLevel = debug"), "debug");
    assert_eq!(level("[pggit]\n logLevel = verbose"), "info");
}

#[test]
fn schemas_of_one_place_replace_those_of_a_lesser_one() {
    let given = Given {
        committed: "[pggit \"a\"]\n schema = x",
        global: "[pggit \"a\"]\n schema = y\n[pggit \"b\"]\n schema = y",
        local: "[pggit \"a\"]\n schema = z\n schema = \"with \\\"quotes\\\"\"",
        ..NOTHING
    };
    let schemas = |database: &str| -> Vec<String> {
        let config = load(&given).database(&name(database)).unwrap();
        config.dump.schemas
    };
    assert_eq!(schemas("a"), ["z", "with \"quotes\""]);
    assert_eq!(schemas("b"), ["y"]);
}

#[test]
fn a_clone_cannot_choose_hosts_programs_and_directories() {
    let given = Given {
        committed: "[pggit]\n pgBinDir = /evil\n plainDir = /evil\n database = main\n[pggit \"main\"]\n url = host=evil\n \
                    plainDir = /evil\n format = tar\n[pggit \"evil\"]\n url = host=evil",
        ..NOTHING
    };
    let config = load(&given);
    assert_eq!(config.pgbin().unwrap(), None);
    let main = config.database(&name("main")).unwrap();
    assert_eq!((main.url, main.output, main.dump.format), (None, None, DumpFormat::Tar));
    assert_eq!(config.databases(), [name("main")]);
    let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 5);
    assert_eq!(
        warnings[0],
        "ignored pggit.pgBinDir in .pggitconfig: only your own git configuration may set it"
    );
}

#[test]
fn somebody_else_s_repository_is_trusted_like_a_clone() {
    let mut git = written("[pggit \"main\"]\n url = host=evil\n format = tar", Scope::Local);
    git.iter_mut().for_each(|entry| entry.trusted = false);
    let main = Config::load(&git, &[], &Environment::default()).database(&name("main")).unwrap();
    assert_eq!((main.url, main.dump.format), (None, DumpFormat::Tar));
}

#[test]
fn wrong_values_name_key_file_and_remedy() {
    let given = Given {
        local: "[pggit \"main\"]\n jobs = many\n format\n url = postgresql://u:s3cret@h/d\n recordSchema",
        environment: &[("PGGIT_COMPRESSION_LEVEL", "99")],
        ..NOTHING
    };
    let config = load(&given);
    let problems: Vec<_> = config.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "bad value 'many' for pggit.main.jobs in local (local): expected a number from 1 to 256",
            "bad value (none) for pggit.main.format in local (local): expected custom, directory, tar or plain",
            "bad value for pggit.main.url in local (local): it contains a password",
            "bad value '99' for PGGIT_COMPRESSION_LEVEL in the environment: expected a zstd level from -7 to 22, or none",
        ]
    );
    let error = config.database(&name("main")).unwrap_err();
    assert!(matches!(error, Error::Url { reason: InvalidUrl::Password, .. }), "{error}");
    assert!(!format!("{error:?} {:?}", config.rows()).contains("s3cret"));
}

#[test]
fn unknown_keys_are_reported_with_the_nearest_one() {
    let config = load(&Given {
        local: "[pggit]\n databse = x\n[pggit \"main\"]\n uri = x\n frobnicate = 1",
        ..NOTHING
    });
    let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "unknown key pggit.databse in local (local); did you mean pggit.database?",
            "unknown key pggit.main.uri in local (local); did you mean pggit.main.url?",
            "unknown key pggit.main.frobnicate in local (local)",
        ]
    );
}

#[test]
fn the_default_database_is_the_one_that_was_chosen() {
    let two = "[pggit \"a\"]\n url = service=a\n[pggit \"b\"]\n url = service=b";
    let with = |local: &str, environment: &[(&str, &str)]| {
        load(&Given { global: two, local, environment, ..NOTHING })
    };
    let several = Error::SeveralDatabases { known: vec![name("a"), name("b")] };
    assert_eq!(with("", &[]).default_database(None), Err(several));
    assert_eq!(with("[pggit]\n database = b", &[]).default_database(None), Ok(name("b")));
    let config = with("[pggit]\n database = b", &[("PGGIT_DATABASE", "a")]);
    assert_eq!(config.default_database(None), Ok(name("a")));
    assert_eq!(config.default_database(Some("b")), Ok(name("b")));
    let error = config.default_database(Some("aa")).unwrap_err();
    assert_eq!(error.to_string(), "unknown database 'aa'");
    assert!(matches!(error, Error::UnknownDatabase { nearest: Some(nearest), .. } if nearest == name("a")));
    assert!(config.default_database(Some("../a")).is_err());
    let only = load(&Given { local: "[pggit \"main\"]\n url = service=a", ..NOTHING });
    assert_eq!(only.default_database(None), Ok(name("main")));
}

#[test]
fn the_url_of_the_environment_is_for_the_selected_database() {
    let given = Given {
        local: "[pggit \"a\"]\n url = service=a\n[pggit \"b\"]\n url = service=b",
        environment: &[("PGGIT_DATABASE_URL", "service=ci")],
        ..NOTHING
    };
    let config = load(&given);
    let url = |database: DatabaseConfig| database.url.unwrap().value.to_string();
    assert_eq!(url(config.selected(Some("a")).unwrap()), "service=ci");
    assert_eq!(url(config.database(&name("b")).unwrap()), "service=b");
    assert_eq!(url(config.selected(Some("new")).unwrap()), "service=ci");
    let given = Given { environment: &[("PGGIT_DATABASE_URL", "postgres://u:s3cret@h/d")], ..given };
    let error = load(&given).selected(Some("a")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad value for PGGIT_DATABASE_URL in the environment: it contains a password"
    );
}

#[test]
fn sections_that_are_no_databases_are_problems() {
    let config = load(&Given { local: "[pggit \"../a\"]\n url = service=a\n jobs = 1", ..NOTHING });
    assert_eq!(config.databases(), []);
    assert_eq!(config.problems().len(), 1);
}

proptest::proptest! {
    /// A committed file is not trusted.
    #[test]
    fn no_committed_file_can_make_it_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        text in "(\\[pggit( \"[a-z.\\\\\"]{0,5}\")?\\]\n?|[ \t]*(url|jobs|sign|output|timeout|x)( ?= ?.{0,20})?\n|[#;\"\\\\].{0,5}\n?){0,8}",
    ) {
        for bytes in [&bytes[..], text.as_bytes()] {
            let Ok(entries) = crate::git::config::parse_blob(bytes, ".pggitconfig") else { continue };
            let config = Config::load(&[], &entries, &Environment::default());
            let _ = (config.problems(), config.warnings().len(), config.databases());
        }
    }
}
