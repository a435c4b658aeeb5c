//! Notifications over HTTP.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use backon::{ExponentialBuilder, Retryable as _};
use hmac::{Hmac, Mac as _};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use sha2::Sha256;

use super::{DeliveryPolicy, Error};

/// The header with the signature.
const SIGNATURE: &str = "x-pggit-signature";

pub(super) fn client(policy: &DeliveryPolicy) -> Result<Client, Error> {
    // Fails if a provider is installed already; all code installs the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("git-pggit/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(policy.timeout)
        .build()
        .map_err(|error| Error::Client(described(error)))
}

/// Returns scheme and host of a URL, which are not secret.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
}

/// Returns the signature of `body`: `sha256=` and the HMAC-SHA256 in hex digits.
pub fn signature(key: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// Posts a message, signed with the key in the file `key`. Fails if the key cannot be read or the
/// last attempt fails.
pub(super) async fn post(
    client: &Client,
    policy: &DeliveryPolicy,
    url: &str,
    body: String,
    key: Option<&Path>,
) -> Result<(), Error> {
    let signature = match key {
        Some(file) => Some(signature(&first_line(file)?, body.as_bytes())),
        None => None,
    };
    send_with_retries(policy, || {
        let request = client.post(url).header("content-type", "application/json").body(body.clone());
        match &signature {
            Some(signature) => request.header(SIGNATURE, signature),
            None => request,
        }
    })
    .await
}

/// Sends a GET request. Fails if the last attempt fails.
pub(super) async fn call(client: &Client, policy: &DeliveryPolicy, url: &str) -> Result<(), Error> {
    send_with_retries(policy, || client.get(url)).await
}

async fn send_with_retries(
    policy: &DeliveryPolicy,
    request: impl Fn() -> RequestBuilder,
) -> Result<(), Error> {
    let attempt = || async {
        let answer = request().send().await.map_err(|error| Error::Unreachable(described(error)))?;
        check_status(answer.status())
    };
    let backoff = ExponentialBuilder::default()
        .with_min_delay(policy.delay)
        .with_factor(2.0)
        .with_max_times(policy.attempts.saturating_sub(1))
        .with_jitter();
    attempt.retry(backoff).sleep(tokio::time::sleep).when(Error::retry).await
}

fn check_status(status: StatusCode) -> Result<(), Error> {
    let number = status.as_u16();
    match number {
        _ if status.is_success() => Ok(()),
        _ if status.is_redirection() => Err(Error::Redirected { status: number }),
        _ => Err(Error::Refused { status: number }),
    }
}

/// Returns the message of an error of the library without the URL.
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
    fn signatures_are_standard_hmac_sha256() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn only_scheme_and_host_of_a_url_are_shown() {
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
