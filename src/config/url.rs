//! The connection to a database in libpq's syntax, without a password.

use std::fmt;

use crate::pg::conninfo::{self, Pairs};

/// A connection URL or connection string without a secret. libpq interprets everything else in it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// The reason why a text is refused. No message repeats the text, because it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// The text contains a password.
    #[error("it contains a password")]
    Password,
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The text contains a character that is not allowed in a connection string.
    #[error("it contains a control character")]
    Control,
    /// The text is a URL with another scheme.
    #[error("it is not a postgresql:// URL")]
    Scheme,
    /// The port of the URL is not valid. The cause is often a password with a `/` in it.
    #[error("its port is not a number (a '/', '?' or '#' must be written as %2F, %3F or %23)")]
    Port,
    /// The text is not a list of `keyword=value`.
    #[error("it is neither a postgresql:// URL nor a libpq connection string (keyword=value ...)")]
    Keywords,
}

impl DatabaseUrl {
    /// Parses a connection. Fails if it contains a password or is not valid.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        if text.trim().is_empty() {
            return Err(InvalidUrl::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidUrl::Control);
        }
        match conninfo::rest_of(text) {
            Some(rest) => check_url(rest)?,
            None if text.split(['=', '\'', ' ']).next().is_some_and(|head| head.contains("://")) => {
                return Err(InvalidUrl::Scheme);
            }
            None => check_keywords(text)?,
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text, which is safe to show.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({:?})", self.0)
    }
}

/// Checks the part after the scheme: `[user[:password]@][host[:port][,...]][/db][?...]`.
fn check_url(rest: &str) -> Result<(), InvalidUrl> {
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before_query.split(['/', '#']).next().unwrap_or("");
    let hosts = match authority.rsplit_once('@') {
        Some((user, hosts)) => {
            if user.contains(':') {
                return Err(InvalidUrl::Password);
            }
            hosts
        }
        None => authority,
    };
    for host in hosts.split(',') {
        let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
        let port = after_address.split_once(':').map_or("", |(_, port)| port);
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidUrl::Port);
        }
    }
    for parameter in query.split('&') {
        let name = parameter.split('=').next().unwrap_or("");
        if conninfo::decode(name).is_ok_and(|name| conninfo::is_secret(&name)) {
            return Err(InvalidUrl::Password);
        }
    }
    Ok(())
}

/// Checks a connection string. Unknown keywords are left to libpq.
fn check_keywords(text: &str) -> Result<(), InvalidUrl> {
    for pair in Pairs::of(text) {
        let (key, value) = pair.map_err(|_| InvalidUrl::Keywords)?;
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(InvalidUrl::Keywords);
        }
        if conninfo::is_secret(key) {
            return Err(InvalidUrl::Password);
        }
        let value = value.map_err(|_| InvalidUrl::Keywords)?;
        // libpq expands a `dbname` that is itself a connection string.
        if key.eq_ignore_ascii_case("dbname") && (value.contains("://") || value.contains('=')) {
            DatabaseUrl::parse(&value.replace('\\', ""))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_without_a_password_are_kept() {
        for text in [
            "postgresql://",
            "postgres://app@db.example:5432/shop?sslmode=require",
            "postgresql://[::1]:5433/shop",
            "postgresql://h1:1,h2:2/shop?target_session_attrs=any",
            "postgresql:///shop?host=/run/postgresql",
            "service=shop",
            "host=/tmp dbname = 'my shop' user=o\\'neil",
            "dbname=shop passfile=/x",
        ] {
            assert_eq!(DatabaseUrl::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn passwords_are_found_wherever_libpq_would_find_them() {
        for text in [
            "postgresql://app:s3cret@db/shop",
            "postgresql://app:@db/shop",
            "postgresql://app:p@ss@db/shop",
            "postgresql://db/shop?password=s3cret",
            "postgresql://db/shop?sslmode=require&pass%77ord=s3cret",
            "host=db password=s3cret",
            "host=db PASSWORD = 's3 cret'",
            "host='a b' password=x",
            "dbname='host=db password=x'",
            "dbname=postgresql://app:s3cret@db/shop",
            "host=db sslpassword=s3cret",
            "host=db password='s3cret",
            "dbname='host=db pass\\\\word=x'",
        ] {
            assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::Password), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_without_repeating_them() {
        let reason = |text: &str| DatabaseUrl::parse(text).unwrap_err();
        assert_eq!(reason(" "), InvalidUrl::Empty);
        assert_eq!(reason("mysql://db/shop"), InvalidUrl::Scheme);
        assert_eq!(reason("postgresql://app:se/cret@db/shop"), InvalidUrl::Port);
        assert_eq!(reason("shop"), InvalidUrl::Keywords);
        assert_eq!(reason("host='open"), InvalidUrl::Keywords);
        assert_eq!(reason("-h db=x"), InvalidUrl::Keywords);
        assert_eq!(reason("host=a\nb"), InvalidUrl::Control);
    }
}
