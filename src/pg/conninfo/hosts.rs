//! The hosts of a connection string.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::super::{Error, Result};
use super::secret::Secret;

/// Socket directories of libpq: that of Debian, then the default of the source.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// A host to try.
#[derive(Debug, Clone)]
pub(in crate::pg) struct Host {
    name: String,
    address: Option<IpAddr>,
    port: u16,
    passfile_name: String,
}

impl Host {
    /// Returns the name, address or socket directory. Empty if only an address is given.
    pub(in crate::pg) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address to connect to without a name lookup.
    pub(in crate::pg) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(in crate::pg) fn port(&self) -> u16 {
        self.port
    }

    /// Returns true if the host is a socket directory.
    pub(in crate::pg) fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with(['/', '@'])
    }

    /// Returns host and port for messages: `example.org:5432` or `/var/run/postgresql:5432`.
    pub(in crate::pg) fn target(&self) -> String {
        format!("{}:{}", self.name_or_address(), self.port)
    }

    /// Returns the name, or the address if there is no name.
    pub(in crate::pg) fn name_or_address(&self) -> String {
        self.address.filter(|_| self.name.is_empty()).map_or_else(|| self.name.clone(), |ip| ip.to_string())
    }

    /// Returns the name of this host in password files.
    pub(super) fn passfile_name(&self) -> &str {
        &self.passfile_name
    }
}

/// Combines the lists `host`, `hostaddr` and `port`. Fails if their lengths do not match.
pub(super) fn from_settings(settings: &BTreeMap<&'static str, Secret>) -> Result<Vec<Host>> {
    let list = |keyword: &str| -> Vec<&str> {
        let value = settings.get(keyword).map(Secret::reveal).filter(|value| !value.is_empty());
        value.map_or_else(Vec::new, |value| value.split(',').collect())
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = if addresses.is_empty() { names.len().max(1) } else { addresses.len() };
    if !addresses.is_empty() && !names.is_empty() && names.len() != count {
        let (names, addresses) = (names.len(), addresses.len());
        return Err(Error::conninfo(format!("{names} host names do not match {addresses} host addresses")));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(Error::conninfo(format!("{} ports do not match {count} hosts", ports.len())));
    }
    let host = |at: usize| {
        let port = port(ports.get(at).or(ports.first()).copied().unwrap_or_default())?;
        let address = addresses.get(at).filter(|address| !address.is_empty());
        let address = address.map(|text| {
            text.parse().map_err(|_| Error::conninfo("a host address is not an IPv4 or IPv6 address"))
        });
        Ok(complete(names.get(at).copied().unwrap_or_default(), address.transpose()?, port))
    };
    (0..count).map(host).collect()
}

fn complete(name: &str, address: Option<IpAddr>, port: u16) -> Host {
    let socket_dir = default_socket_dir(port);
    let is_default = address.is_none() && name.is_empty();
    let name = if is_default { socket_dir } else { name };
    let passfile_name = match address {
        Some(address) if name.is_empty() => address.to_string(),
        _ if name == socket_dir => "localhost".to_owned(),
        _ => name.to_owned(),
    };
    Host { name: name.to_owned(), address, port, passfile_name }
}

/// Returns the default socket directory: the first one with the socket of a server.
fn default_socket_dir(port: u16) -> &'static str {
    let listens = |dir: &&str| Path::new(dir).join(format!(".s.PGSQL.{port}")).exists();
    let exists = |dir: &&str| Path::new(dir).is_dir();
    let dirs = || SOCKET_DIRS.iter().copied();
    dirs().find(listens).or_else(|| dirs().find(exists)).unwrap_or(SOCKET_DIRS[1])
}

fn port(text: &str) -> Result<u16> {
    match text.trim() {
        "" => Ok(5432),
        // The message does not contain the text: in a URI it may be part of a password.
        text => text
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| Error::conninfo("a port is not a number from 1 to 65535")),
    }
}
