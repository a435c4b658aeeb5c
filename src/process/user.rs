//! Users of this machine, as whom programs can be run.

use std::fs;
use std::io;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

impl User {
    /// The user called `name`; `None` when there is none.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        if name.is_empty() || name.starts_with('-') || name.contains([':', '\n', '\0']) {
            return Ok(None);
        }
        let known = fs::read("/etc/passwd")?;
        if let Some(user) = in_passwd(&known, name) {
            return Ok(Some(user));
        }
        // Users may also come from a directory service.
        let asked = super::Cmd::new("getent").args(["passwd", name]).run_any();
        Ok(asked.ok().and_then(|answer| in_passwd(&answer.stdout, name)))
    }
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn in_passwd(passwd: &[u8], name: &str) -> Option<User> {
    passwd.split(|b| *b == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
        let number = |at: usize| std::str::from_utf8(fields.get(at)?).ok()?.parse().ok();
        let found = fields.first() == Some(&name.as_bytes());
        found.then(|| Some(User { name: name.to_owned(), uid: number(2)?, gid: number(3)? })).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd_are_read_and_others_are_not() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nbroken\npostgres:x:105:109::/var:/bin/sh\nhalf:x:a:1\n\xff:x";
        let user = |name: &str| in_passwd(passwd, name);
        assert_eq!(user("postgres"), Some(User { name: "postgres".into(), uid: 105, gid: 109 }));
        for none in ["post", "broken", "half", "x", "nobody"] {
            assert_eq!(user(none), None);
        }
        for bad in ["", "-x", "a:b", "a\nroot"] {
            assert_eq!(User::named(bad).unwrap(), None);
        }
    }
}
