//! SQL scripts as pg_dump and pg_dumpall write them, split into statements for callers that cannot
//! pass them to psql unchanged.

use super::lexer::{Token, next_token};
use super::splitter::{BadScript, Piece, Skip, SplitError, Splitter};

/// One statement of a script, without its semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: Vec<u8>,
}

/// A token of a statement.
#[derive(Debug, PartialEq, Eq)]
enum ScriptToken {
    /// A word, in lower case.
    Word(String),
    /// A name in double quotes, without the quotes.
    Name(String),
    /// A literal, with its start and end.
    Literal(usize, usize),
    /// Any other token.
    Other,
}

/// The effect of a statement on a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfRole {
    /// Creates the role.
    Create(String),
    /// Alters the role or comments on it.
    Change(String),
    /// Grants a role to another one.
    Grant {
        /// The granted role.
        role: String,
        /// The new member.
        member: String,
    },
}

impl Statement {
    /// Splits a script into statements. psql commands that pg_dump and pg_dumpall write are left out.
    /// Fails on any other psql command and on the data of a COPY.
    pub fn all(script: &[u8]) -> Result<Vec<Self>, BadScript> {
        let (mut found, mut pieces) = (Vec::new(), Splitter::new(script, Skip::Globals, true));
        loop {
            match pieces.next() {
                Ok(Some(Piece { data: true, line, .. })) => {
                    return Err(BadScript { line, reason: "data of a COPY".to_owned() });
                }
                Ok(Some(piece)) => found.push(Self { sql: piece.sql }),
                Ok(None) => return Ok(found),
                Err(SplitError::Script(bad)) => return Err(bad),
                Err(SplitError::Read(_)) => unreachable!("what is in memory can be read"),
            }
        }
    }

    /// Returns the text, or `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.sql).ok()
    }

    fn parts(&self) -> Vec<ScriptToken> {
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < self.sql.len() {
            let (kind, end) = next_token(&self.sql, at);
            let text = || String::from_utf8_lossy(&self.sql[at..end]).into_owned();
            match kind {
                Token::Space => {}
                Token::Word => parts.push(ScriptToken::Word(text().to_ascii_lowercase())),
                Token::Quoted => {
                    let text = text();
                    let inner = text.get(1..text.len().max(2) - 1).unwrap_or_default();
                    parts.push(ScriptToken::Name(inner.replace("\"\"", "\"")));
                }
                Token::Literal { .. } => parts.push(ScriptToken::Literal(at, end)),
                Token::Other => parts.push(ScriptToken::Other),
            }
            at = end;
        }
        parts
    }

    /// Changes a CREATE TABLESPACE so that the tablespace is inside of the data directory and the
    /// original directory is not touched. Other statements are unchanged.
    pub fn in_place(self) -> Self {
        let parts = self.parts();
        if !begins(&parts, &["create", "tablespace"]) {
            return self;
        }
        let place = parts.windows(2).find_map(|pair| match pair {
            [ScriptToken::Word(word), ScriptToken::Literal(from, to)] if word == "location" => {
                Some((*from, *to))
            }
            _ => None,
        });
        let sql = match place {
            Some((from, to)) => [&self.sql[..from], b"''", &self.sql[to..]].concat(),
            None => b"DO $$BEGIN RAISE 'a tablespace without a place'; END$$".to_vec(),
        };
        Self { sql }
    }

    /// Returns the role that the statement creates.
    pub fn makes_role(&self) -> Option<String> {
        match self.parts().as_slice() {
            [ScriptToken::Word(create), ScriptToken::Word(role), name, ..]
                if create == "create" && role == "role" =>
            {
                name_of(name)
            }
            _ => None,
        }
    }

    /// Returns the effect of the statement on a role, for statements as `pg_dumpall --roles-only`
    /// writes them.
    pub fn of_role(&self) -> Option<OfRole> {
        let parts = self.parts();
        let name = |at: usize| parts.get(at).and_then(name_of);
        if begins(&parts, &["create", "role"]) {
            return Some(OfRole::Create(name(2)?));
        }
        if begins(&parts, &["alter", "role"]) {
            return Some(OfRole::Change(name(2)?));
        }
        if begins(&parts, &["comment", "on", "role"]) {
            return Some(OfRole::Change(name(3)?));
        }
        match parts.as_slice() {
            [ScriptToken::Word(grant), role, ScriptToken::Word(to), member, ..]
                if grant == "grant" && to == "to" =>
            {
                Some(OfRole::Grant { role: name_of(role)?, member: name_of(member)? })
            }
            _ => None,
        }
    }

    /// Removes the clause GRANTED BY. Then the grantor is the user who runs the statement.
    pub fn without_grantor(self) -> Self {
        let (mut at, mut cut) = (0, None);
        while at < self.sql.len() {
            let (kind, end) = next_token(&self.sql, at);
            if matches!(kind, Token::Word) && self.sql[at..end].eq_ignore_ascii_case(b"granted") {
                cut = Some(at);
            }
            at = end;
        }
        let sql = cut.map_or(self.sql.as_slice(), |cut| &self.sql[..cut]).trim_ascii_end().to_vec();
        Self { sql }
    }

    /// Returns the roles that the statement makes owners, that it grants to or revokes from, or that it
    /// creates a policy or a user mapping for.
    pub fn roles(&self) -> Vec<String> {
        let parts = self.parts();
        if begins(&parts, &["create", "policy"]) {
            return roles_of_policy(&parts);
        }
        let grants = [["grant"], ["revoke"], ["alter"]].iter().any(|word| begins(&parts, word));
        let mut found = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let ScriptToken::Word(word) = part else { continue };
            let before = |word: &str| at > 0 && parts[at - 1] == ScriptToken::Word(word.to_owned());
            let named = match word.as_str() {
                "to" => before("owner") || grants,
                "from" => begins(&parts, &["revoke"]) || begins(&parts, &["alter", "default"]),
                "role" => before("for"),
                "for" => begins(&parts, &["create", "user", "mapping"]),
                _ => false,
            };
            let name = parts.get(at + 1).filter(|_| named).and_then(name_of);
            found.extend(name.filter(|name| name != "public"));
        }
        found
    }
}

/// Returns the roles of `CREATE POLICY ... TO a, b USING ...`.
fn roles_of_policy(parts: &[ScriptToken]) -> Vec<String> {
    let is = |part: &ScriptToken, words: &[&str]| matches!(part, ScriptToken::Word(known) if words.contains(&known.as_str()));
    let after = parts
        .iter()
        .skip_while(|part| !is(part, &["to", "using", "with"]))
        .skip_while(|part| is(part, &["to"]));
    let roles = after.take_while(|part| !is(part, &["using", "with"])).filter_map(name_of);
    roles
        .filter(|name| !["public", "current_user", "session_user", "current_role"].contains(&name.as_str()))
        .collect()
}

fn begins(parts: &[ScriptToken], words: &[&str]) -> bool {
    parts.len() >= words.len()
        && parts
            .iter()
            .zip(words)
            .all(|(part, word)| matches!(part, ScriptToken::Word(known) if known == word))
}

fn name_of(part: &ScriptToken) -> Option<String> {
    match part {
        ScriptToken::Word(name) | ScriptToken::Name(name) => Some(name.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(script: &str) -> Vec<String> {
        Statement::all(script.as_bytes()).unwrap().iter().map(|it| it.text().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_script_is_cut_at_its_semicolons_and_nowhere_else() {
        let script = "--\n-- x; y\n\\restrict abc\n\\connect shop\nSET a = 'x;''y';\n/* ; */ CREATE ROLE \"a;\n\\! b\";\n\
                      SELECT $_$;$_$;;\n\\unrestrict abc\n-- end\n";
        assert_eq!(texts(script), ["SET a = 'x;''y'", "CREATE ROLE \"a;\n\\! b\"", "SELECT $_$;$_$"]);
        assert_eq!(texts("SELECT 1"), ["SELECT 1"]);
        assert_eq!(texts("-- nothing"), [""; 0]);
        let bad = |script: &str| Statement::all(script.as_bytes()).unwrap_err().to_string();
        assert_eq!(bad("SELECT 1;\n\\! id\n"), "line 2: '\\!' is a psql command, not SQL");
        assert_eq!(bad("\\connect shop \\! id\n"), "line 1: '\\connect' is a psql command, not SQL");
        assert_eq!(bad("\nCOPY t FROM stdin;\n1\n\\.\n"), "line 2: data of a COPY");
    }

    #[test]
    fn tablespaces_are_made_in_place() {
        for (sql, expected) in [
            ("CREATE TABLESPACE t OWNER o LOCATION '/srv/t';", "CREATE TABLESPACE t OWNER o LOCATION ''"),
            ("CREATE TABLESPACE t OWNER o LOCATION E'/a\\'b';", "CREATE TABLESPACE t OWNER o LOCATION ''"),
            (
                "CREATE TABLESPACE \"a LOCATION '/b'\" LOCATION '/c'",
                "CREATE TABLESPACE \"a LOCATION '/b'\" LOCATION ''",
            ),
            (
                "CREATE ROLE \"x\nCREATE TABLESPACE y LOCATION '/z'\";",
                "CREATE ROLE \"x\nCREATE TABLESPACE y LOCATION '/z'\"",
            ),
        ] {
            let made = Statement::all(sql.as_bytes()).unwrap().remove(0).in_place();
            assert_eq!(made.text(), Some(expected));
        }
        let strange = Statement::all(b"CREATE TABLESPACE t LOCATION $$/srv$$;").unwrap().remove(0).in_place();
        assert!(!strange.text().unwrap().contains("/srv"), "what is not understood is not done");
    }

    #[test]
    fn roles_are_found() {
        let roles = |sql: &str| Statement::all(sql.as_bytes()).unwrap().remove(0).roles();
        assert_eq!(roles("ALTER TABLE a.b OWNER TO \"Ada \"\"x\"\"\";"), ["Ada \"x\""]);
        assert_eq!(roles("GRANT ALL ON TABLE t TO web;"), ["web"]);
        assert_eq!(roles("CREATE USER MAPPING FOR web SERVER far OPTIONS (user 'u');"), ["web"]);
        assert_eq!(roles("REVOKE ALL ON SCHEMA public FROM PUBLIC;"), [""; 0]);
        let policy =
            "CREATE POLICY \"to\" ON public.t FOR SELECT TO web, \"With x\" USING ((a = 'to b'::text));";
        assert_eq!(roles(policy), ["web", "With x"]);
        assert_eq!(roles("CREATE POLICY p ON public.t WITH CHECK ((a > 0));"), [""; 0]);
        assert_eq!(
            roles("ALTER DEFAULT PRIVILEGES FOR ROLE ada IN SCHEMA s GRANT SELECT ON TABLES TO web"),
            ["ada", "web"]
        );
        assert_eq!(
            Statement::all(b"CREATE ROLE \"x y\";").unwrap().remove(0).makes_role().as_deref(),
            Some("x y")
        );
    }

    #[test]
    fn what_is_done_to_roles_is_known() {
        let of = |sql: &str| Statement::all(sql.as_bytes()).unwrap().remove(0);
        assert_eq!(of("CREATE ROLE \"a b\";").of_role(), Some(OfRole::Create("a b".into())));
        assert_eq!(of("ALTER ROLE a WITH LOGIN PASSWORD 'x;';").of_role(), Some(OfRole::Change("a".into())));
        assert_eq!(of("COMMENT ON ROLE a IS 'x';").of_role(), Some(OfRole::Change("a".into())));
        let grant = of("GRANT \"granted\" TO b WITH ADMIN OPTION GRANTED BY \"c d\";");
        assert_eq!(grant.of_role(), Some(OfRole::Grant { role: "granted".into(), member: "b".into() }));
        assert_eq!(grant.without_grantor().text(), Some("GRANT \"granted\" TO b WITH ADMIN OPTION"));
        for other in ["CREATE TABLESPACE t LOCATION '/x';", "SET a = 1;", "GRANT ALL ON PARAMETER x TO a;"] {
            assert_eq!(of(other).of_role(), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_cutting(script in proptest::collection::vec(any::<u8>(), 0..200)) {
            for statement in Statement::all(&script).unwrap_or_default() {
                let _ = (statement.roles(), statement.makes_role(), statement.of_role());
                let _ = (statement.clone().without_grantor(), statement.in_place());
            }
        }
    }
}
