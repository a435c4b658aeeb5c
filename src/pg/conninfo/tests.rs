//! Tables of the rules of libpq.

use super::*;
use proptest::prelude::*;

fn empty() -> Environment {
    Environment::from_iter([("HOME", "/nonexistent"), ("PGUSER", "me")])
}

fn settings(text: &str) -> Vec<(&'static str, String)> {
    let source = Source::parse(text).unwrap();
    source.given.iter().map(|(spec, value)| (spec.keyword, value.reveal().to_owned())).collect()
}

fn owned(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(keyword, value)| (*keyword, (*value).to_owned())).collect()
}

#[test]
fn uris_split_as_in_libpq() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("postgresql://", &[]),
        ("postgres://h", &[("host", "h")]),
        (
            "postgresql://u:p%40x@h:5/d",
            &[("user", "u"), ("password", "p@x"), ("host", "h"), ("port", "5"), ("dbname", "d")],
        ),
        ("postgresql://u@/d", &[("user", "u"), ("dbname", "d")]),
        ("postgresql://a:1,b:2/d", &[("host", "a,b"), ("port", "1,2"), ("dbname", "d")]),
        ("postgresql://a,b", &[("host", "a,b"), ("port", ",")]),
        ("postgresql://[::1]:5432/d", &[("host", "::1"), ("port", "5432"), ("dbname", "d")]),
        (
            "postgresql:///d?host=%2Ftmp&ssl=true",
            &[("dbname", "d"), ("host", "/tmp"), ("sslmode", "require")],
        ),
        ("postgresql://h?connect_timeout=3", &[("host", "h"), ("connect_timeout", "3")]),
        ("postgresql://%2Fvar%2Frun", &[("host", "/var/run")]),
        ("postgresql:///%C3%BC%20x", &[("dbname", "ü x")]),
    ];
    for (text, expected) in cases {
        assert_eq!(settings(text), owned(expected), "{text}");
    }
}

#[test]
fn keywords_split_as_in_libpq() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("mydb", &[("dbname", "mydb")]),
        ("", &[]),
        ("host=h port = 5", &[("host", "h"), ("port", "5")]),
        (" user='a b' dbname='it\\'s'  ", &[("user", "a b"), ("dbname", "it's")]),
        ("password=a\\ b user=u", &[("password", "a b"), ("user", "u")]),
        ("user= dbname=d", &[("user", "dbname=d")]),
        ("user='' dbname=d", &[("user", ""), ("dbname", "d")]),
        ("user=''dbname=d", &[("user", ""), ("dbname", "d")]),
    ];
    for (text, expected) in cases {
        assert_eq!(settings(text), owned(expected), "{text}");
    }
}

#[test]
fn messages_about_invalid_strings_contain_no_secrets() {
    let cases = [
        "postgresql://u:s3cret@x@h/d",
        "postgresql://u:s3/cret@h/d",
        "postgresql://u:1/s3cret@h/d",
        "postgresql://u:s3cret%zz@h/d",
        "postgresql://u:p@h/d?nosuch=s3cret",
        "postgresql://u:p@h/d?password=s3cret=x",
        "postgresql://u:s3cret",
        "password='s3cret",
        "password=my s3cret",
        "password=my s3cret=x",
        "hostaddr=s3cret",
        "port=s3cret",
        "a=b\0s3cret",
    ];
    for text in cases {
        let error = ConnInfo::parse(text, &empty()).unwrap_err();
        assert!(matches!(error, Error::BadConnInfo { .. }), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3"), "{text}: {error}");
    }
}

#[test]
fn the_source_keeps_its_form_and_loses_its_secrets() {
    let cases = [
        ("postgresql://u:pw@h:1,[::1]:2/d?sslmode=require", "postgresql://u@h:1,[::1]:2/d?sslmode=require"),
        ("postgresql://:pw@h/d", "postgresql://h/d"),
        ("postgres://u@h/d?password=pw&user=x&%73slpassword=pw", "postgres://u@h/d?user=x"),
        ("postgres:///d?password=pw", "postgres:///d"),
        ("host=h password='p w' user='a b' password=pw", "host=h user='a b'"),
        ("mydb", "mydb"),
    ];
    for (text, shown) in cases {
        let source = Source::parse(text).unwrap();
        assert_eq!(source.without_password(), shown);
        assert_eq!(source.has_password(), text != "mydb");
        assert_eq!(format!("{source:?}"), format!("Source({shown:?})"));
    }
    assert!(!Source::parse("postgresql://u:@h").unwrap().has_password());
}

#[test]
fn connection_string_overrides_service_overrides_environment_overrides_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("services");
    std::fs::write(&file, "[s]\nhost=service\nuser=service\ndbname=service\n").unwrap();
    let env = Environment::from_iter([
        ("PGSERVICEFILE", file.to_str().unwrap()),
        ("PGSERVICE", "s"),
        ("PGHOST", "env"),
        ("PGPORT", "6000"),
        ("PGDATABASE", "env"),
        ("PGAPPNAME", ""),
    ]);
    let info = ConnInfo::parse("host=explicit", &env).unwrap();
    assert_eq!(
        info.without_password(),
        "host=explicit port=6000 user=service dbname=service application_name=''"
    );
    assert_eq!(
        (info.host().as_str(), info.port(), info.user(), info.dbname()),
        ("explicit", 6000, "service", "service")
    );
    let error = ConnInfo::parse("service=absent", &env).unwrap_err();
    assert_eq!(error.to_string(), "invalid connection settings: service \"absent\" is not defined");
}

#[test]
fn a_password_file_that_others_can_read_is_ignored_with_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".pgpass");
    std::fs::write(&path, "one:*:*:*:first\n*:*:other:*:second\n").unwrap();
    let env = Environment::from_iter([("HOME", dir.path().to_str().unwrap()), ("PGUSER", "me")]);
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();

    mode(0o640);
    let info = ConnInfo::parse("host=one", &env).unwrap();
    assert_eq!(info.password(), None);
    assert_eq!(info.warnings(), [SettingsWarning::PassFileTooOpen(path.clone())]);

    mode(0o600);
    let info = ConnInfo::parse("host=one", &env).unwrap();
    assert_eq!(info.password().as_deref(), Some("first"));
    assert!(info.warnings().is_empty() && info.tool_env().is_empty());
    assert!(info.without_password().contains(&format!("passfile={}", path.display())));
    let info = ConnInfo::parse("host=two", &env).unwrap();
    assert_eq!(info.password(), None);
    assert_eq!(info.with_dbname("other").password().as_deref(), Some("second"));
    assert_eq!(
        ConnInfo::parse("host=one password=given", &env).unwrap().password().as_deref(),
        Some("given")
    );
}

#[test]
fn lists_of_hosts_must_match() {
    let info = ConnInfo::parse("postgresql://a:1,b,c:3/d", &empty()).unwrap();
    let targets: Vec<_> = info.hosts().iter().map(Host::target).collect();
    assert_eq!(targets, ["a:1", "b:5432", "c:3"]);
    let info = ConnInfo::parse("host=a hostaddr=::1 port=7", &empty()).unwrap();
    assert_eq!((info.hosts()[0].target(), info.hosts()[0].is_socket()), ("a:7".to_owned(), false));
    assert!(ConnInfo::parse("host=a,b port=1,2,3", &empty()).is_err());
    assert!(ConnInfo::parse("host=a,b hostaddr=::1", &empty()).is_err());
    assert!(ConnInfo::parse("port=0", &empty()).is_err());
}

#[test]
fn nothing_shows_a_password() {
    let info = ConnInfo::parse("postgresql://u:s3cret@h/d?sslpassword=s3cret", &empty()).unwrap();
    assert!(!format!("{info:?} {} {}", info.without_password(), info.source_string()).contains("s3cret"));
    assert_eq!(info.redact("the s3cret of u"), "the *** of u");
    assert_eq!(info.tool_env(), [("PGPASSWORD".into(), "s3cret".into())]);
    let env = Environment::from_iter([("PGPASSWORD", "s3cret"), ("PGUSER", "u")]);
    let info = ConnInfo::parse("host=h", &env).unwrap();
    assert!(!format!("{info:?} {env:?}").contains("s3cret") && !info.has_password_in_source());
    assert_eq!(info.password().as_deref(), Some("s3cret"));
}

proptest! {
    #[test]
    fn parse_never_panics(text in "\\PC{0,40}", uri in "(postgres(ql)?://)?[a-z:@/?=&%,\\[\\]'\\\\ 0-9ü]{0,40}") {
        let _ = ConnInfo::parse(&text, &empty());
        let _ = ConnInfo::parse(&uri, &empty());
    }

    #[test]
    fn written_settings_survive_a_round_trip(dbname in "\\PC{1,20}", user in "[^\\x00]{1,20}") {
        let pairs = [("user", user.as_str()), ("dbname", dbname.as_str())];
        let text = source::write_keywords(pairs.into_iter());
        prop_assert_eq!(settings(&text), owned(&pairs));
    }

    #[test]
    fn a_password_is_never_shown(password in "[^\\x00]{1,12}", at in 0..4_usize) {
        // Characters that do not occur elsewhere in the text.
        let password = format!("Q{password}Z");
        let encoded: String = password.bytes().map(|b| format!("%{b:02X}")).collect();
        let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
        let text = match at {
            0 => format!("postgresql://u:{encoded}@h/d"),
            1 => format!("postgresql://h/d?password={encoded}&user=u"),
            2 => format!("postgresql://h/d?sslpassword={encoded}&%70assword={encoded}"),
            _ => format!("host=h password='{quoted}' user=u sslpassword = '{quoted}'"),
        };
        let info = ConnInfo::parse(&text, &empty()).unwrap();
        prop_assert!(info.has_password_in_source());
        for shown in [info.without_password(), info.source_string().to_owned(), format!("{info:?}")] {
            prop_assert!(!shown.contains(&password) && !shown.contains(&encoded), "{}", shown);
            prop_assert!(!Source::parse(&shown.replace("ConnInfo(", "")).is_ok_and(|source| source.has_password()));
        }
        if at != 2 || info.password().is_some() {
            prop_assert_eq!(info.password(), Some(password));
        }
    }
}

#[test]
fn a_connection_string_in_another_form_is_refused_and_not_repeated() {
    for text in [
        "postgresql:app:hunter2@h",
        "POSTGRESQL://app:hunter2@h/shop",
        "jdbc:postgresql://app:hunter2@h/shop",
        "dbname='postgresql://app:hunter2@h/x'",
        "dbname='host=h password=hunter2'",
        "dbname=postgresql://app:hunter2@h/x",
    ] {
        let refused = super::Source::parse_given(text).unwrap_err().to_string();
        assert!(
            refused.contains("looks like a connection string") && !refused.contains("hunter2"),
            "{refused}"
        );
    }
    for fine in ["shop", "a:b", "dbname='password store'", "dbname=x password=y"] {
        super::Source::parse_given(fine).unwrap();
    }
}
