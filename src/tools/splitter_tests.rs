//! Tests of [`super::Splitter`].

use proptest::prelude::*;

use super::*;

/// A reader that returns at most this number of bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(self.0.len()).min(buffer.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

/// Returns the statements with their lines, and data as `<...>`.
fn cut_as(script: &[u8], step: usize, skip: Skip, standard: bool) -> Result<Vec<String>, BadScript> {
    let (mut pieces, mut found) = (Splitter::new(Drip(script, step), skip, standard), Vec::new());
    let bad = |fault| match fault {
        SplitError::Script(bad) => bad,
        SplitError::Read(error) => panic!("{error}"),
    };
    while let Some(piece) = pieces.next().map_err(bad)? {
        found.push(format!("{}:{}", piece.line, String::from_utf8_lossy(&piece.sql)));
        if piece.data {
            let mut data = Vec::new();
            while let Some(more) = pieces.data().map_err(bad)? {
                data.extend(more);
            }
            found.push(format!("<{}>", String::from_utf8_lossy(&data)));
        }
    }
    Ok(found)
}

fn cut(script: &str) -> Vec<String> {
    let whole = cut_as(script.as_bytes(), usize::MAX, Skip::Dump, true).unwrap();
    for step in [1, 2, 3, 7] {
        let pieces = cut_as(script.as_bytes(), step, Skip::Dump, true).unwrap();
        assert_eq!(pieces, whole, "{step} bytes at a time");
    }
    whole
}

fn refused(script: &str, skip: Skip) -> String {
    let refused = cut_as(script.as_bytes(), usize::MAX, skip, true).unwrap_err().to_string();
    assert_eq!(cut_as(script.as_bytes(), 1, skip, true).unwrap_err().to_string(), refused);
    refused
}

#[test]
fn semicolons_in_quotes_and_comments_end_nothing() {
    for whole in [
        "select 'a;b''c;'",
        "select \"a;\"\"b;\"",
        "select E'a\\';b\\\\', E'\\''''",
        "select 'a\\', 1",
        "select $$;$$, $a$;$b$;$$;$a$, $ä$;$ä$, a$b$c",
        "select /* ; /* ; */ ; */ 1 -- ; '\n + 1",
        "select U&\"d\\0061;\", U&';\\0061', N';', B'1', X'A;'",
        "select 'a' -- ; '\n ';b'",
        "select E'a'\n-- ;\n  'b\\';' , 1",
        "create rule r as on insert to t do also (select 1; select 2)",
        "create function f() returns int begin atomic; select 1; select case when true then 1 end; end",
        "create or replace procedure p(a int default (case 1 when 1 then 1 end)) begin atomic select 1; end",
        "create function f() returns int language sql as $$ select 1; $$",
        "select 1e5, $1, a.b, 1 - -1, '$$', 2*/**/3",
    ] {
        assert_eq!(cut(&format!("{whole};\nselect 2;")).len(), 2, "{whole}");
        assert_eq!(cut(&format!("{whole};\nselect 2"))[0], format!("1:{whole}"));
    }
}

#[test]
fn statements_end_at_their_semicolons() {
    assert_eq!(
        cut("select 1;select 2 ;;\n;; -- x\n/* y */ select 3 -- z\n"),
        ["1:select 1", "1:select 2", "3:select 3"]
    );
    assert_eq!(cut("-- a\rselect 1;"), ["1:select 1"], "a carriage return ends a comment");
    assert_eq!(cut("begin; select case when a then 1 end; end;").len(), 3);
    assert_eq!(cut("create table begin_end (a int); select 1").len(), 2);
    assert_eq!(
        cut("create table t (\"begin\" int); create function_x begin; end"),
        ["1:create table t (\"begin\" int)", "1:create function_x begin", "1:end",]
    );
    assert_eq!(cut("select E'a' 'b\\'; select 1").len(), 2, "on one line it is a string of its own");
    assert_eq!(cut("select 'it is not closed; select 1").len(), 1, "the server says what is wrong with it");
    assert_eq!(cut("select ')'; select (1").len(), 2);
    for nothing in ["", ";", " \n\t", "-- only words", "/* ; */ ;", "/* not closed ;"] {
        assert_eq!(cut(nothing), [""; 0], "{nothing}");
    }
}

#[test]
fn data_go_up_to_their_end() {
    assert_eq!(
        cut("copy t from stdin;\n1\tx;\\y\n\\N\n\n\\.x\n\\.\nselect 1;"),
        ["1:copy t from stdin", "<1\tx;\\y\n\\N\n\n\\.x\n>", "7:select 1"]
    );
    assert_eq!(
        cut("\nCOPY a.\"from stdin\" (\"stdin\") FROM STDIN WITH (FORMAT csv); -- x\r\na\r\n\\.\r\nselect 1"),
        ["2:COPY a.\"from stdin\" (\"stdin\") FROM STDIN WITH (FORMAT csv)", "<a\r\n>", "5:select 1"]
    );
    assert_eq!(cut("copy t from stdin;\n\\."), ["1:copy t from stdin", "<>"]);
}

#[test]
fn only_a_copy_has_data() {
    for other in [
        "copy t from 'stdin'",
        "copy (select a from stdin) to 'x'",
        "copy \"from\" (stdin) from program 'x'",
        "select a from stdin",
        "copy t to stdout",
    ] {
        assert!(!copies_in(other.as_bytes()), "{other}");
    }
    for copy in ["copy t from stdin", "Copy t (a, b) From StdIn csv", "copy stdin from stdin"] {
        assert!(copies_in(copy.as_bytes()) && !copies_out(copy.as_bytes()), "{copy}");
    }
    assert!(copies_out(b"copy (select 1) to stdout"));
}

#[test]
fn commands_of_psql_are_refused_wherever_they_stand() {
    for (script, refusal) in [
        ("\\c shop\n", "line 1: '\\c' is a psql command, not SQL"),
        ("select 1;\n  \\! id\n", "line 2: '\\!' is a psql command, not SQL"),
        ("select 1 \\g /tmp/x\n", "line 1: '\\g' is a psql command, not SQL"),
        ("select 1\n, 2\\;select 3;", "line 2: '\\;select' is a psql command, not SQL"),
        ("/* a\n */ select 'a'\n'b' \\gexec", "line 3: '\\gexec' is a psql command, not SQL"),
        ("copy t from stdin;\n1\n\\.\n\\.\n", "line 4: '\\.' is a psql command, not SQL"),
        ("create function f() begin atomic select 1; \\q", "line 1: '\\q' is a psql command, not SQL"),
    ] {
        assert_eq!(refused(script, Skip::Dump), refusal);
    }
    for script in ["\\connect shop\n", " \\restrict a\n", "select 1; \\restrict a\n", "\\restrict a \\! id\n"]
    {
        assert!(refused(script, Skip::Dump).contains("is a psql command"), "{script}");
    }
    assert!(refused("\\connect shop \\! id\n", Skip::Globals).contains("is a psql command"));
    assert!(refused("copy t from stdin; select 1;\n", Skip::Dump).starts_with("line 1: something follows"));
    assert!(refused("copy t from stdin;\n1\n", Skip::Dump).starts_with("line 3: the data of COPY"));
}

#[test]
fn lines_of_the_programs_are_skipped() {
    let dump = b"--\n-- x\n\\restrict a1B\r\n\nselect 1;\n\\unrestrict a1B\n";
    assert_eq!(cut_as(dump, 3, Skip::Dump, true).unwrap(), ["5:select 1"]);
    let globals =
        b"\\restrict a\n\\connect -reuse-previous=on \"dbname='a\\\\b'\"\nselect 1;\n\\unrestrict a";
    assert_eq!(cut_as(globals, 1, Skip::Globals, true).unwrap(), ["3:select 1"]);
    let value = b"select '\n\\restrict a\n';\nselect 1";
    assert_eq!(cut_as(value, 1, Skip::Dump, true).unwrap().len(), 2);
}

#[test]
fn what_a_backslash_means_follows_the_setting() {
    let script = "set standard_conforming_strings = off; select 'a\\';b'; set standard_conforming_strings to 'on'; \
                  select 'a\\'; select 1; reset all; select 'x'";
    assert_eq!(cut(script).len(), 7);
    let off = cut_as(
        b"select '\\';'; set standard_conforming_strings = on; select '\\'; reset all; select '\\';'",
        2,
        Skip::Dump,
        false,
    );
    assert_eq!(off.unwrap().len(), 5);
}

#[test]
fn a_change_of_what_a_backslash_means_that_cannot_be_followed_is_refused() {
    for script in [
        "set local standard_conforming_strings = off",
        "begin; set standard_conforming_strings = off; rollback",
        "begin; set standard_conforming_strings = off; savepoint a; rollback to a",
        "select set_config('standard_conforming_strings', 'off', false)",
        "select pg_catalog.\"set_config\" ( 'Standard_Conforming_Strings', 'off', false)",
        "select 1, (select set_config(name, 'off', false) from pg_settings)",
        "select set_config('standard_' || 'conforming_strings', 'off', false)",
        "select set_config(E'standard\\x5fconforming_strings', 'off', false)",
        "update pg_settings set setting = 'off' where name like 'standard%'",
    ] {
        let said = refused(&format!("select 1;\n{script};"), Skip::Dump);
        assert!(said.starts_with("line 2: standard_conforming_strings is changed"), "{script}: {said}");
    }
    for script in [
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "select current_setting('standard_conforming_strings'), 'set_config'",
        "grant execute on function pg_catalog.set_config(text, text, boolean) to a",
        "alter database shop set standard_conforming_strings = off",
        "create function f() returns int set standard_conforming_strings = off language sql as 'select 1'",
        "begin; set standard_conforming_strings = on; rollback",
        "begin; set standard_conforming_strings = off; commit; begin; rollback",
    ] {
        cut(script);
    }
}

#[test]
fn a_statement_that_is_too_long_is_refused_whatever_it_consists_of() {
    let long = "x".repeat(1000);
    for script in [
        format!("select {long}"),
        format!("select '{long}'"),
        format!("select $${long}$$"),
        format!("/* {long} */ select 1"),
        format!("-- {long}\nselect 1"),
    ] {
        let mut pieces = Splitter::new(script.as_bytes(), Skip::Dump, true);
        pieces.limit = 500;
        assert!(
            matches!(pieces.next(), Err(SplitError::Script(bad)) if bad.reason.contains("1 GB")),
            "{script}"
        );
    }
}

#[test]
fn settings_are_read() {
    let of = |sql: &str| setting(sql.as_bytes());
    let is = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    assert_eq!(of("SET client_encoding = 'LATIN1'"), is("client_encoding", "latin1"));
    assert_eq!(of("set local \"client_encoding\" to utf8"), is("client_encoding", "utf8"));
    assert_eq!(of("set names 'UTF8'"), is("client_encoding", "utf8"));
    assert_eq!(of("reset all"), is("", "all"));
    assert_eq!(of("select set('x')"), None);
}

/// Inputs that once failed the property tests below: a token that the end of a read cut off was
/// treated as complete.
#[test]
fn a_mark_may_be_split_between_two_reads() {
    for (script, standard) in [(&b"$a$$a$\\begin"[..], false), (b"\0\\!!", true)] {
        let whole = cut_as(script, usize::MAX, Skip::Dump, standard);
        assert_eq!(cut_as(script, 1, Skip::Dump, standard), whole, "{script:?}");
    }
}

proptest! {
    #[test]
    fn nothing_breaks_the_cutting(script in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..9) {
        let whole = cut_as(&script, usize::MAX, Skip::Dump, true);
        prop_assert_eq!(cut_as(&script, step, Skip::Dump, true), whole);
    }

    #[test]
    fn how_it_is_read_makes_no_difference(
        script in "(;|'|\"|E'|\\$\\$|\\$a\\$|--|/\\*|\\*/|\n|\\\\|\\(|\\)| |a|copy t from stdin;\n|\\\\\\.\n|begin|end|create function ){0,20}",
        step in 1_usize..9,
        standard in any::<bool>(),
    ) {
        let script = script.as_bytes();
        let whole = cut_as(script, usize::MAX, Skip::Dump, standard);
        prop_assert_eq!(cut_as(script, step, Skip::Dump, standard), whole);
    }

    #[test]
    fn data_come_out_as_they_went_in(lines in proptest::collection::vec("[a.\\\\\r]{0,4}", 0..20), step in 1_usize..9) {
        prop_assume!(lines.iter().all(|line| line != "\\." && line != "\\.\r"));
        let data: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let script = format!("copy t from stdin;\n{data}\\.\nselect 1;");
        let found = cut_as(script.as_bytes(), step, Skip::Dump, true).unwrap();
        prop_assert_eq!(&found[1..], [format!("<{data}>"), format!("{}:select 1", lines.len() + 3)]);
    }
}
