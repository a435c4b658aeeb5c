//! Creates clients of clouds from the settings of the clouds' own tools.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::error_response::NO_CREDENTIALS;
use super::http::Connector;
use super::retry::{Outage, OutageReporter, RetryLimits};
use crate::store::url::{Scheme, StoreUrl};
use crate::store::{Error, Result};

/// The default of [`CloudSettings::retry_time`].
const RETRY_TIME: Duration = Duration::from_secs(180);
/// The default of [`CloudSettings::patience`].
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings that the clouds' own tools read from the environment and their files: pairs such as
/// `AWS_ACCESS_KEY_ID` and its value.
#[derive(Clone, Default)]
pub struct CloudSettings {
    /// Names in upper case, and values. docs/store-clouds.md lists the supported ones.
    pub variables: Vec<(String, String)>,
    /// The maximum number of retries of a request; by default only the time is limited.
    pub retries: Option<usize>,
    /// The time for which a request that fails is retried; three minutes by default.
    pub retry_time: Option<Duration>,
    /// The time without a byte from the server after which a request is retried; a minute by
    /// default. Uploads have more time, in proportion to their size.
    pub patience: Option<Duration>,
    /// Receives the message that requests wait for a storage that fails, once per outage.
    pub report_outage: Option<OutageReporter>,
}

impl std::fmt::Debug for CloudSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        let Self { retries, retry_time, patience, .. } = self;
        f.debug_struct("CloudSettings")
            .field("variables", &names)
            .field("retries", retries)
            .field("retry_time", retry_time)
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}

impl CloudSettings {
    /// Returns the value of a variable; an empty one counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.variables.iter().rfind(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Reads the certificates of `AWS_CA_BUNDLE`. Fails if the file cannot be read or has none.
    fn certificates(&self, url: &StoreUrl) -> Result<Vec<Certificate>> {
        let Some(path) = self.get("AWS_CA_BUNDLE") else { return Ok(Vec::new()) };
        let pem = std::fs::read(path).map_err(|error| Error::io("read", path.as_ref(), error))?;
        Certificate::from_pem_bundle(&pem).map_err(|_| unusable(url, "AWS_CA_BUNDLE has no certificates"))
    }
}

/// Creates a client for `url`, without a request to the cloud. Fails if settings are missing or
/// invalid.
pub(super) fn build(url: &StoreUrl, settings: &CloudSettings) -> Result<Arc<dyn ObjectStore>> {
    let limits = RetryLimits {
        time: settings.retry_time.unwrap_or(RETRY_TIME),
        count: settings.retries,
        patience: settings.patience.unwrap_or(PATIENCE),
    };
    let outage = Outage::new(url.to_string(), limits.time, settings.report_outage.clone());
    let connector = Connector::new(limits, outage);
    // The connector retries.
    let retry =
        RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, backoff: BackoffConfig::default() };
    let options = Connector::options();
    let built: object_store::Result<Arc<dyn ObjectStore>> = match url.scheme() {
        Scheme::Azure => azure(url, settings, options)?
            .with_http_connector(connector)
            .with_retry(retry)
            .build()
            .map(|store| Arc::new(store) as _),
        Scheme::Google => google(url, settings, options)?
            .with_http_connector(connector)
            .with_retry(retry)
            .build()
            .map(|store| Arc::new(store) as _),
        Scheme::S3 | Scheme::File => s3(url, settings, options)?
            .with_http_connector(connector)
            .with_retry(retry)
            .build()
            .map(|store| Arc::new(store) as _),
    };
    built.map_err(|error| unusable(url, &super::describe(&error)))
}

fn unusable(url: &StoreUrl, detail: &str) -> Error {
    let (object, detail) = (url.to_string(), detail.to_owned());
    Error::Storage { action: "use the storage", object, detail, transient: false }
}

fn forbidden(url: &StoreUrl, detail: &str) -> Error {
    Error::Forbidden { object: url.to_string(), detail: detail.to_owned() }
}

/// Returns true if the URL of the endpoint asks for a connection without TLS. Fails if it is not a URL
/// of HTTP: the crate panics at some others.
fn is_open(url: &StoreUrl, endpoint: Option<&str>) -> Result<bool> {
    let Some(endpoint) = endpoint else { return Ok(false) };
    match (endpoint.starts_with("http://"), endpoint.starts_with("https://")) {
        (false, false) => {
            Err(unusable(url, &format!("the endpoint {endpoint:?} is not an http:// or https:// URL")))
        }
        (is_open, _) => Ok(is_open),
    }
}

const S3: &[(&str, AmazonS3ConfigKey)] = {
    use AmazonS3ConfigKey as Key;
    &[
        ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
        ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
        ("AWS_SESSION_TOKEN", Key::Token),
        ("AWS_DEFAULT_REGION", Key::DefaultRegion),
        ("AWS_REGION", Key::Region),
        ("AWS_ENDPOINT_URL", Key::Endpoint),
        ("AWS_ENDPOINT_URL_S3", Key::S3Endpoint),
        ("AWS_ENDPOINT_URL_STS", Key::StsEndpoint),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", Key::VirtualHostedStyleRequest),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
        ("AWS_ROLE_ARN", Key::RoleArn),
        ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Key::MetadataEndpoint),
        ("AWS_REQUEST_PAYER", Key::RequestPayer),
        ("AWS_SKIP_SIGNATURE", Key::SkipSignature),
        ("AWS_UNSIGNED_PAYLOAD", Key::UnsignedPayload),
    ]
};

/// Settings of server-side encryption. The crate accepts them only by name.
const S3_ENCRYPTION: [&str; 4] = [
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
];

fn s3(url: &StoreUrl, settings: &CloudSettings, options: ClientOptions) -> Result<AmazonS3Builder> {
    let endpoint = settings.get("AWS_ENDPOINT_URL_S3").or(settings.get("AWS_ENDPOINT_URL"));
    let mut options = options.with_allow_http(is_open(url, endpoint)?);
    for certificate in settings.certificates(url)? {
        options = options.with_root_certificate(certificate);
    }
    let own = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_SKIP_SIGNATURE",
    ];
    if settings.is_true("AWS_EC2_METADATA_DISABLED") && !settings.has(&own) {
        return Err(forbidden(url, NO_CREDENTIALS));
    }
    let mut builder = AmazonS3Builder::new()
        .with_client_options(options)
        .with_bucket_name(url.bucket())
        // Objects are removed one at a time, and not every server has the bulk request.
        .with_disable_bulk_delete(true);
    for (name, key) in S3 {
        if let Some(value) = settings.get(name) {
            builder = builder.with_config(*key, value.trim_end_matches('/'));
        }
    }
    for name in S3_ENCRYPTION {
        if let (Some(value), Ok(key)) = (settings.get(name), name.to_ascii_lowercase().parse()) {
            builder = builder.with_config(key, value);
        }
    }
    Ok(builder)
}

const AZURE: &[(&str, AzureConfigKey)] = {
    use AzureConfigKey as Key;
    &[
        ("AZURE_STORAGE_ACCOUNT_NAME", Key::AccountName),
        ("AZURE_STORAGE_ACCOUNT", Key::AccountName),
        ("AZURE_STORAGE_ACCOUNT_KEY", Key::AccessKey),
        ("AZURE_STORAGE_KEY", Key::AccessKey),
        ("AZURE_STORAGE_SAS_TOKEN", Key::SasKey),
        ("AZURE_STORAGE_TOKEN", Key::Token),
        ("AZURE_STORAGE_SERVICE_ENDPOINT", Key::Endpoint),
        ("AZURE_TENANT_ID", Key::AuthorityId),
        ("AZURE_CLIENT_ID", Key::ClientId),
        ("AZURE_CLIENT_SECRET", Key::ClientSecret),
        ("AZURE_AUTHORITY_HOST", Key::AuthorityHost),
        ("AZURE_FEDERATED_TOKEN_FILE", Key::FederatedTokenFile),
        ("AZURE_MSI_ENDPOINT", Key::MsiEndpoint),
    ]
};

/// The settings that a connection string may contain.
const AZURE_CONNECTION: &[(&str, AzureConfigKey)] = {
    use AzureConfigKey as Key;
    &[
        ("AccountName", Key::AccountName),
        ("AccountKey", Key::AccessKey),
        ("SharedAccessSignature", Key::SasKey),
        ("BlobEndpoint", Key::Endpoint),
    ]
};

fn azure(url: &StoreUrl, settings: &CloudSettings, options: ClientOptions) -> Result<MicrosoftAzureBuilder> {
    let string = settings.get("AZURE_STORAGE_CONNECTION_STRING").map(connection_string).transpose();
    let connection = string.map_err(|detail| unusable(url, detail))?.unwrap_or_default();
    let from_string =
        |name: &str| connection.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
    let endpoint = from_string("BlobEndpoint").or(settings.get("AZURE_STORAGE_SERVICE_ENDPOINT"));
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(options.with_allow_http(is_open(url, endpoint)?))
        .with_container_name(url.bucket());
    for (name, key) in AZURE {
        // A connection string replaces all these settings.
        let replaced = connection.iter().any(|(name, _)| is_key_of(name, *key));
        if let Some(value) = settings.get(name).filter(|_| !replaced) {
            builder = builder.with_config(*key, value.trim_end_matches('/'));
        }
    }
    for (name, key) in AZURE_CONNECTION {
        if let Some(value) = from_string(name) {
            builder = builder.with_config(*key, value.trim_end_matches('/'));
        }
    }
    if builder.get_config_value(&AzureConfigKey::AccountName).is_none() {
        return Err(forbidden(url, "no storage account: AZURE_STORAGE_ACCOUNT is not set"));
    }
    Ok(builder)
}

fn is_key_of(name: &str, key: AzureConfigKey) -> bool {
    AZURE_CONNECTION.iter().any(|(known, of)| *known == name && *of == key)
}

/// `DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b==;EndpointSuffix=core.windows.net`
fn connection_string(text: &str) -> std::result::Result<Vec<(String, String)>, &'static str> {
    let mut parts = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) =
            part.split_once('=').ok_or("AZURE_STORAGE_CONNECTION_STRING is not a connection string")?;
        parts.push((name.to_owned(), value.to_owned()));
    }
    let get = |name: &str| parts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let endpoint = match (get("BlobEndpoint"), get("AccountName"), get("EndpointSuffix")) {
        (None, Some(account), Some(suffix)) => {
            let protocol = get("DefaultEndpointsProtocol").unwrap_or("https");
            Some(("BlobEndpoint".to_owned(), format!("{protocol}://{account}.blob.{suffix}")))
        }
        _ => None,
    };
    let host = get("BlobEndpoint").and_then(|url| url.split_once("://")).map(|(_, host)| host);
    let account = host.filter(|_| get("AccountName").is_none()).and_then(|host| host.split_once(".blob."));
    let account = account.map(|(account, _)| ("AccountName".to_owned(), account.to_owned()));
    parts.extend(endpoint.into_iter().chain(account).collect::<Vec<_>>());
    Ok(parts)
}

const GOOGLE: &[(&str, GoogleConfigKey)] = {
    use GoogleConfigKey as Key;
    &[
        ("GOOGLE_APPLICATION_CREDENTIALS", Key::ApplicationCredentials),
        ("GOOGLE_SERVICE_ACCOUNT", Key::ServiceAccount),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", Key::BearerToken),
        ("GOOGLE_BASE_URL", Key::BaseUrl),
        ("GOOGLE_SKIP_SIGNATURE", Key::SkipSignature),
    ]
};

fn google(
    url: &StoreUrl,
    settings: &CloudSettings,
    options: ClientOptions,
) -> Result<GoogleCloudStorageBuilder> {
    let open = is_open(url, settings.get("GOOGLE_BASE_URL"))?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(options.with_allow_http(open))
        .with_bucket_name(url.bucket());
    for (name, key) in GOOGLE {
        if let Some(value) = settings.get(name) {
            builder = builder.with_config(*key, value.trim_end_matches('/'));
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> CloudSettings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        CloudSettings { variables: variables.iter().map(owned).collect(), ..CloudSettings::default() }
    }

    fn message(url: &str, variables: &[(&str, &str)]) -> String {
        build(&url.parse().unwrap(), &settings(variables))
            .map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn connection_strings_are_read() {
        let read =
            |text| connection_string(text).unwrap().into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let usual = read(
            "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=a+b==;EndpointSuffix=core.windows.net",
        );
        assert_eq!(usual["AccountKey"], "a+b==");
        assert_eq!(usual["BlobEndpoint"], "https://shop.blob.core.windows.net");
        let shared =
            read("BlobEndpoint=https://shop.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x");
        assert_eq!(
            (shared["AccountName"].as_str(), shared["SharedAccessSignature"].as_str()),
            ("shop", "sv=1&sig=x")
        );
        assert!(connection_string("s3cret").is_err());
    }

    #[test]
    fn messages_name_missing_settings_and_no_secrets() {
        assert!(
            message("az://c", &[("AZURE_STORAGE_ACCOUNT", "")]).contains("AZURE_STORAGE_ACCOUNT is not set")
        );
        let string = ("AZURE_STORAGE_CONNECTION_STRING", "s3cret");
        assert_eq!(
            message("az://c", &[string]),
            "az://c: cannot use the storage: AZURE_STORAGE_CONNECTION_STRING is not a connection string"
        );
        let half = message("s3://b", &[("AWS_SECRET_ACCESS_KEY", "s3cret")]);
        assert!(!half.is_empty() && !half.contains("s3cret"), "{half}");
        assert!(message("s3://b", &[("AWS_EC2_METADATA_DISABLED", "true")]).contains("no credentials"));
        let debug = format!("{:?}", settings(&[("AWS_SECRET_ACCESS_KEY", "s3cret")]));
        assert!(debug.contains("AWS_SECRET_ACCESS_KEY") && !debug.contains("s3cret"));
    }
}
