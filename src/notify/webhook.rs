//! Messages over HTTP.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use backon::{ExponentialBuilder, Retryable as _};
use hmac::{Hmac, Mac as _};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use sha2::Sha256;

use super::{Error, Patience};

/// The header with the signature.
const SIGNATURE: &str = "x-pggit-signature";

pub(super) fn client(patience: &Patience) -> Result<Client, Error> {
    // Whoever was first has set it, and all set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("git-pggit/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(patience.timeout)
        .build()
        .map_err(|error| Error::Client(described(error)))
}

/// What may be said of an address: where it is, and nothing behind that.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
}

/// The signature of `body`: `sha256=` and the HMAC in hex digits.
pub fn signature(key: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// Posts a message.
pub(super) async fn post(
    client: &Client,
    patience: &Patience,
    url: &str,
    body: String,
    key: Option<&Path>,
) -> Result<(), Error> {
    let signature = match key {
        Some(file) => Some(signature(&first_line(file)?, body.as_bytes())),
        None => None,
    };
    patiently(patience, || {
        let request = client.post(url).header("content-type", "application/json").body(body.clone());
        match &signature {
            Some(signature) => request.header(SIGNATURE, signature),
            None => request,
        }
    })
    .await
}

/// Calls an address.
pub(super) async fn call(client: &Client, patience: &Patience, url: &str) -> Result<(), Error> {
    patiently(patience, || client.get(url)).await
}

async fn patiently(patience: &Patience, request: impl Fn() -> RequestBuilder) -> Result<(), Error> {
    let attempt = || async {
        let answer = request().send().await.map_err(|error| Error::Unreachable(described(error)))?;
        judged(answer.status())
    };
    let backoff = ExponentialBuilder::default()
        .with_min_delay(patience.delay)
        .with_factor(2.0)
        .with_max_times(patience.attempts.saturating_sub(1))
        .with_jitter();
    attempt.retry(backoff).sleep(tokio::time::sleep).when(Error::retry).await
}

fn judged(status: StatusCode) -> Result<(), Error> {
    let number = status.as_u16();
    match number {
        _ if status.is_success() => Ok(()),
        _ if status.is_redirection() => Err(Error::Redirected { status: number }),
        _ => Err(Error::Refused { status: number }),
    }
}

/// What the library says, without the address.
fn described(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn first_line(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |reason: &str| Error::Key(format!("{}: {reason}", file.display()));
    let text = fs::read(file).map_err(|error| failed(&error.to_string()))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() { Err(failed("its first line is empty")) } else { Ok(line.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_everybody_else() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn of_an_address_only_the_host_is_said() {
        for (url, said) in [
            ("https://hooks.example/services/T0/B0/s3cret", "https://hooks.example"),
            ("http://127.0.0.1:8080?token=s3cret", "http://127.0.0.1:8080"),
            ("https://user:s3cret@host/x", "https://host"),
            ("s3cret", "://s3cret"),
        ] {
            assert_eq!(shown(url), said);
        }
    }
}
