//! Connection URIs, read exactly as libpq's `conninfo_uri_parse` reads them.

use super::super::{Error, Result};
use super::options::{self, Spec};
use super::secret::Secret;

const PREFIXES: [&str; 2] = ["postgresql://", "postgres://"];

/// Returns the text after the scheme, or `None` if `text` is not a URI of PostgreSQL.
pub fn rest_of(text: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Returns `text` percent-encoded for a part of a URI.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The parts of a URI, still percent-encoded.
#[derive(Debug, Default)]
struct Parts<'a> {
    user: &'a str,
    password: Option<&'a str>,
    /// Host lists, database and parameters, with their leading delimiters.
    rest: &'a str,
}

fn split_user(text: &str) -> Parts<'_> {
    let end = text.find(['@', '/']).unwrap_or(text.len());
    if !text[end..].starts_with('@') {
        return Parts { rest: text, ..Parts::default() };
    }
    let (user, password) = match text[..end].split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (&text[..end], None),
    };
    Parts { user, password, rest: &text[end + 1..] }
}

/// Parses the text after the scheme.
pub(super) fn parse(text: &str) -> Result<Vec<(&'static Spec, Secret)>> {
    let mut given = Given::default();
    let parts = split_user(text);
    given.store("user", parts.user)?;
    given.store("password", parts.password.unwrap_or_default())?;
    let (hosts, ports, mut rest) = host_list(parts.rest)?;
    // These characters remain from a password with an unencoded "@", "/" or "?". libpq would look
    // for a host or database of that name, and the message would show it.
    let place = parts.rest.split('?').next().unwrap_or_default();
    if place.contains('@') || parts.user.contains('?') {
        return Err(Error::conninfo("\"@\", \"/\" and \"?\" in a part of a URI must be percent-encoded"));
    }
    given.store("host", &hosts)?;
    given.store("port", &ports)?;
    if let Some(path) = rest.strip_prefix('/') {
        let end = path.find('?').unwrap_or(path.len());
        given.store("dbname", &path[..end])?;
        rest = &path[end..];
    }
    if let Some(parameters) = rest.strip_prefix('?') {
        given.parameters(parameters)?;
    }
    Ok(given.0)
}

/// Reads `host:port,host:port`. Returns both lists and the rest.
fn host_list(mut rest: &str) -> Result<(String, String, &str)> {
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        let host;
        if let Some(address) = rest.strip_prefix('[') {
            let end =
                address.find(']').ok_or_else(|| Error::conninfo("missing \"]\" after an IPv6 address"))?;
            if end == 0 {
                return Err(Error::conninfo("an IPv6 address in a URI cannot be empty"));
            }
            (host, rest) = (&address[..end], &address[end + 1..]);
            if !rest.is_empty() && !rest.starts_with([':', '/', '?', ',']) {
                return Err(Error::conninfo("unexpected character after the \"]\" of an IPv6 address"));
            }
        } else {
            (host, rest) = rest.split_at(rest.find([':', '/', '?', ',']).unwrap_or(rest.len()));
        }
        hosts += host;
        if let Some(after) = rest.strip_prefix(':') {
            let port;
            (port, rest) = after.split_at(after.find(['/', '?', ',']).unwrap_or(after.len()));
            ports += port;
        }
        let Some(after) = rest.strip_prefix(',') else { return Ok((hosts, ports, rest)) };
        rest = after;
        hosts.push(',');
        ports.push(',');
    }
}

#[derive(Default)]
struct Given(Vec<(&'static Spec, Secret)>);

impl Given {
    /// Stores a part of the URI before the parameters. An empty part counts as absent.
    fn store(&mut self, keyword: &str, encoded: &str) -> Result<()> {
        if encoded.is_empty() {
            return Ok(());
        }
        let spec = options::find(keyword).expect("the parts of a URI are options");
        self.0.push((spec, Secret::new(decode(encoded)?)));
        Ok(())
    }

    fn parameters(&mut self, text: &str) -> Result<()> {
        for parameter in text.split_terminator('&') {
            let (keyword, value) = parameter
                .split_once('=')
                .ok_or_else(|| Error::conninfo("missing \"=\" in a query parameter of the URI"))?;
            if value.contains('=') {
                return Err(Error::conninfo("a second \"=\" in a query parameter of the URI"));
            }
            let (mut keyword, mut value) = (decode(keyword)?, decode(value)?);
            if keyword == "ssl" && value == "true" {
                (keyword, value) = ("sslmode".to_owned(), "require".to_owned());
            }
            let spec = options::find(&keyword)
                .ok_or_else(|| Error::conninfo(format!("unknown query parameter {keyword:?} in the URI")))?;
            self.0.push((spec, Secret::new(value)));
        }
        Ok(())
    }
}

/// `encoded`, a part of a URI, as the text that it stands for.
pub fn decode(encoded: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|&b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(Error::conninfo("a \"%\" in a URI must be followed by two hexadecimal digits"));
        };
        let value = u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte");
        if value == 0 {
            return Err(Error::conninfo("%00 is not allowed in a URI"));
        }
        bytes.push(value);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| Error::conninfo("a percent-encoded part of the URI is not UTF-8"))
}

/// Returns the URI as written, without the password and secret parameters. `text` must be a valid
/// URI.
pub(super) fn without_secrets(text: &str) -> String {
    let rest = rest_of(text).unwrap_or_default();
    let scheme = &text[..text.len() - rest.len()];
    let parts = split_user(rest);
    let at = if parts.user.is_empty() { "" } else { "@" };
    let (place, parameters) = parts.rest.split_once('?').unwrap_or((parts.rest, ""));
    let is_public = |parameter: &&str| {
        let keyword = parameter.split('=').next().unwrap_or_default();
        decode(keyword).is_ok_and(|keyword| options::find(&keyword).is_some_and(|spec| !spec.secret))
    };
    let parameters: Vec<_> = parameters.split_terminator('&').filter(is_public).collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}{}{at}{place}{mark}{}", parts.user, parameters.join("&"))
}
