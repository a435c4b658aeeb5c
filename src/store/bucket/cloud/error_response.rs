//! Error responses of clouds, and their meaning.

use std::error::Error as StdError;
use std::io;

use object_store::HeaderMap;
use object_store::client::HttpError;
use serde_json::Value;

use crate::process::interrupt::Signal;
use crate::store::Error;

/// The maximum length of a message that is shown, in characters.
const DETAIL_MAX: usize = 300;
/// Error codes of S3 and compatible servers for wrong credentials. Their HTTP status varies.
const CREDENTIALS: [&str; 9] = [
    "AuthorizationHeaderMalformed",
    "AuthenticationFailed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidAuthenticationInfo",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// The meaning of an error response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// A temporary failure: a retry may succeed.
    Temporary,
    /// The object does not exist.
    Missing,
    /// The object exists.
    Exists,
    /// The bucket does not exist.
    NoBucket,
    /// The credentials are wrong or lack the permission.
    Forbidden,
    /// No credentials were found.
    NoCredentials,
    /// The name of the server is unknown. A wait does not help a typing error; a later run may find a
    /// network in which the name is known.
    UnknownHost,
    /// A signal to this process ended the wait for the server.
    Interrupted(Signal),
    /// A permanent failure.
    Permanent,
}

/// An error response, without secrets of the request or of the response.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    pub(super) kind: ErrorKind,
    pub(super) detail: String,
    /// True if the server sent it; false if there was no response.
    pub(super) has_response: bool,
}

impl ErrorResponse {
    pub(super) fn new(kind: ErrorKind, detail: &str) -> Self {
        let detail = detail.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { kind, detail: detail.take(DETAIL_MAX).collect(), has_response: false }
    }

    /// A signal to this process ended the wait for the server.
    pub(super) fn interrupted(signal: Signal) -> Self {
        Self::new(ErrorKind::Interrupted(signal), &format!("interrupted ({signal})"))
    }

    /// The error of a request without a response.
    pub(super) fn transport(error: &HttpError) -> Self {
        // The innermost error is the most precise one: "Connection refused".
        let mut innermost: &(dyn StdError + 'static) = error;
        let mut kind = kind_of_failure(innermost);
        while let Some(source) = innermost.source() {
            innermost = source;
            kind = kind.or_else(|| kind_of_failure(innermost));
        }
        Self::new(kind.unwrap_or(ErrorKind::Temporary), &innermost.to_string())
    }

    /// Interprets a response whose status is not a success.
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let header = headers.get("x-ms-error-code").and_then(|value| value.to_str().ok());
        let (code, message) = match serde_json::from_str::<Value>(&text) {
            Ok(json) => message_of_json(&json),
            Err(_) => (element(&text, "Code"), element(&text, "Message")),
        };
        let code = header.map(str::to_owned).or(code).unwrap_or_default();
        // The other lines are request ids and times.
        let message = message.unwrap_or_default();
        let message = message.lines().next().unwrap_or_default().trim_end_matches('.');
        let region = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
        let detail = match (code.as_str(), message, region) {
            _ if (300..400).contains(&status) => {
                format!("the bucket is in another region: {}", region.unwrap_or("set AWS_REGION"))
            }
            ("", "", _) => format!("status {status}"),
            (code, "", _) => format!("{code} (status {status})"),
            ("", message, _) => format!("{message} (status {status})"),
            (code, message, _) => format!("{code}: {message}"),
        };
        Self { has_response: true, ..Self::new(kind(status, &code), &detail) }
    }

    /// Finds the response in the chain of sources of an error of `object_store`.
    pub(super) fn find_in(error: &object_store::Error) -> Option<&Self> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(answer) = error.downcast_ref() {
                return Some(answer);
            }
            next = error.source();
        }
        None
    }

    pub(super) fn error(&self, action: &'static str, object: String, bucket: String) -> Error {
        let detail = self.detail.clone();
        match self.kind {
            ErrorKind::Missing => Error::NoObject { object },
            ErrorKind::NoBucket => Error::NoBucket { url: bucket },
            ErrorKind::Forbidden => Error::Forbidden { object, detail },
            ErrorKind::NoCredentials => Error::Forbidden { object, detail: NO_CREDENTIALS.to_owned() },
            ErrorKind::Temporary | ErrorKind::UnknownHost => {
                Error::Storage { action, object, detail, transient: true }
            }
            ErrorKind::Interrupted(signal) => Error::Interrupted { signal },
            ErrorKind::Exists | ErrorKind::Permanent => {
                Error::Storage { action, object, detail, transient: false }
            }
        }
    }
}

/// The message when neither the configuration nor the machine has credentials.
pub(super) const NO_CREDENTIALS: &str = "no credentials are configured, and this machine has none of its own";

fn kind(status: u16, code: &str) -> ErrorKind {
    match (status, code) {
        (_, "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" | "ContainerBeingDeleted") => {
            ErrorKind::NoBucket
        }
        (_, code) if CREDENTIALS.contains(&code) => ErrorKind::Forbidden,
        // Another client is writing this object now; the winner is not decided yet.
        (409, "ConditionalRequestConflict" | "OperationAborted") => ErrorKind::Temporary,
        (404, _) => ErrorKind::Missing,
        (409 | 412, _) => ErrorKind::Exists,
        (401 | 403, _) => ErrorKind::Forbidden,
        (501 | 505, _) => ErrorKind::Permanent,
        (408 | 425 | 429 | 500.., _) => ErrorKind::Temporary,
        _ => ErrorKind::Permanent,
    }
}

/// Returns the meaning of one error in the chain of a failed connection; `None` if it may pass.
fn kind_of_failure(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let text = error.to_string();
    // The resolver of the system has no error codes in Rust. A resolver that cannot be reached is
    // another error: "Temporary failure in name resolution" of glibc, "Try again" of musl.
    if text.contains(LOOKUP) {
        let passes = ["Temporary failure", "Try again", "temporarily"];
        return (!passes.iter().any(|part| text.contains(part))).then_some(ErrorKind::UnknownHost);
    }
    // The settings are no valid request, or the server has another protocol, such as TLS.
    if text.starts_with("builder error") || text.starts_with("invalid HTTP") {
        return Some(ErrorKind::Permanent);
    }
    // `source` of an I/O error skips the error that it wraps.
    let mut wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    while let Some(error) = wrapped {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return tls_is_permanent(error).then_some(ErrorKind::Permanent);
        }
        wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    }
    None
}

/// The beginning of all errors of the resolver of the system (`std::net::ToSocketAddrs`).
const LOOKUP: &str = "failed to lookup address information";

/// Returns true if every further attempt would fail in the same way, such as at a certificate that
/// is not trusted.
fn tls_is_permanent(error: &rustls::Error) -> bool {
    use rustls::Error as E;
    matches!(error, E::InvalidCertificate(_) | E::PeerIncompatible(_) | E::InvalidMessage(_))
}

/// The text of an XML element.
fn element(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let end = start + text[start..].find(&format!("</{name}>"))?;
    let text = text[start..end].trim();
    Some(text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
}

/// `{"error": {"code": 403, "message": "..."}}`, or `{"error": "...", "error_description": "..."}`.
fn message_of_json(json: &Value) -> (Option<String>, Option<String>) {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match json.get("error") {
        Some(Value::Object(_)) => (None, json.get("error").and_then(|error| text(error, "message"))),
        _ => (text(json, "error"), text(json, "error_description")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> (ErrorKind, String) {
        let answer = ErrorResponse::read(status, &HeaderMap::new(), body.as_bytes());
        (answer.kind, answer.detail)
    }

    #[test]
    fn error_responses_are_interpreted() {
        let s3 = |code: &str, message: &str| {
            format!(
                "<?xml?><Error><Code>{code}</Code><Message>{message}</Message><StringToSign>S3CRET</StringToSign></Error>"
            )
        };
        let cases = [
            (404, s3("NoSuchKey", "x"), ErrorKind::Missing, "NoSuchKey: x"),
            (404, s3("NoSuchBucket", "gone."), ErrorKind::NoBucket, "NoSuchBucket: gone"),
            (
                400,
                s3("ExpiredToken", "The token has expired.\nRequestId:1"),
                ErrorKind::Forbidden,
                "ExpiredToken: The token has expired",
            ),
            (
                403,
                s3("SignatureDoesNotMatch", "a &lt; b"),
                ErrorKind::Forbidden,
                "SignatureDoesNotMatch: a < b",
            ),
            (
                503,
                s3("SlowDown", "Please reduce your request rate."),
                ErrorKind::Temporary,
                "SlowDown: Please reduce your request rate",
            ),
            (
                409,
                s3("ConditionalRequestConflict", ""),
                ErrorKind::Temporary,
                "ConditionalRequestConflict (status 409)",
            ),
            (412, s3("PreconditionFailed", ""), ErrorKind::Exists, "PreconditionFailed (status 412)"),
            (409, String::new(), ErrorKind::Exists, "status 409"),
            (501, s3("NotImplemented", ""), ErrorKind::Permanent, "NotImplemented (status 501)"),
            (301, String::new(), ErrorKind::Permanent, "the bucket is in another region: set AWS_REGION"),
            (429, "noise <Code>".to_owned(), ErrorKind::Temporary, "status 429"),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"Bad"}"#.to_owned(),
                ErrorKind::Permanent,
                "invalid_grant: Bad",
            ),
            (
                401,
                r#"{"error":{"code":401,"message":"Who?"}}"#.to_owned(),
                ErrorKind::Forbidden,
                "Who? (status 401)",
            ),
        ];
        for (status, body, kind, detail) in cases {
            assert_eq!(read(status, &body), (kind, detail.to_owned()), "{body}");
        }
    }

    #[test]
    fn failed_connections_are_interpreted() {
        use object_store::client::HttpErrorKind;
        let kind =
            |error: io::Error| ErrorResponse::transport(&HttpError::new(HttpErrorKind::Connect, error)).kind;
        let lookup = |text: &str| io::Error::other(format!("failed to lookup address information: {text}"));
        assert_eq!(kind(lookup("Name or service not known")), ErrorKind::UnknownHost);
        assert_eq!(kind(lookup("Name does not resolve")), ErrorKind::UnknownHost);
        assert_eq!(kind(lookup("Temporary failure in name resolution")), ErrorKind::Temporary);
        assert_eq!(kind(lookup("Try again")), ErrorKind::Temporary);
        for passes in [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset] {
            assert_eq!(kind(passes.into()), ErrorKind::Temporary);
        }
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, untrusted);
        assert_eq!(kind(io::Error::other(wrapped)), ErrorKind::Permanent);
        let full = rustls::Error::General("busy".to_owned());
        assert_eq!(kind(io::Error::other(full)), ErrorKind::Temporary);
    }

    #[test]
    fn the_header_of_azure_and_the_region_of_s3_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-error-code", "ContainerNotFound".parse().unwrap());
        assert_eq!(ErrorResponse::read(404, &headers, b"").kind, ErrorKind::NoBucket);
        headers.clear();
        headers.insert("x-amz-bucket-region", "eu-west-1".parse().unwrap());
        let answer = ErrorResponse::read(301, &headers, b"");
        assert_eq!(answer.detail, "the bucket is in another region: eu-west-1");
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_do_not_panic(status in 100u16..1000, body: Vec<u8>, text: String) {
            let _ = ErrorResponse::read(status, &HeaderMap::new(), &body);
            let _ = ErrorResponse::read(status, &HeaderMap::new(), format!("<Code>{text}</Message><Message>{text}").as_bytes());
        }
    }
}
