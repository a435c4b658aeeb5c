//! Credentials for clouds, and the errors if a cloud does not accept them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pggit::store::{CloudSettings, Error, Store};

use super::proxy::{Fault, Proxy};
use super::{AZURITE, MOTO, Place, S3S, now};
use crate::sandbox::Sandbox;

/// A response of the metadata service, with keys that s3s accepts.
const METADATA: &str = r#"{"Code":"Success","AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"secretsecret","Token":"","Expiration":"2099-01-01T00:00:00Z","RoleArn":"x"}"#;

fn error_of(place: &Place) -> String {
    let error = Store::open(&place.url, &place.access()).map(drop).unwrap_err();
    assert!(!error.retry(), "{error}");
    error.to_string()
}

/// Removes the keys, and makes `metadata` the only service that can provide others.
fn on_a_machine(place: &Place, metadata: &str) -> Place {
    let mut place = place.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{metadata}"));
    place.variables.retain(|(name, _)| !name.contains("_KEY"));
    place
}

#[test]
fn wrong_keys_are_said_to_be_wrong() {
    let s3 = error_of(&S3S.place().with("AWS_SECRET_ACCESS_KEY", "s3cret-s3cret"));
    assert!(s3.contains("access denied: SignatureDoesNotMatch") && !s3.contains("s3cret"), "{s3}");
    let unknown = error_of(&S3S.place().with("AWS_ACCESS_KEY_ID", "AKIANOBODY"));
    assert!(unknown.contains("access denied: "), "{unknown}");
    let place = AZURITE.place_with_signature();
    let azure = error_of(
        &place.with("AZURE_STORAGE_SAS_TOKEN", "sv=2021-08-06&ss=b&srt=sco&sp=r&se=2099-01-01&sig=czNjcmV0"),
    );
    assert!(
        azure.contains("access denied: AuthorizationFailure") || azure.contains("access denied: Auth"),
        "{azure}"
    );
    assert!(!azure.contains("czNjcmV0") && !azure.contains('?'), "{azure}");
}

#[test]
fn a_bucket_that_is_not_there_is_not_a_store_that_is_not_there() {
    // s3s-fs sends the same error for a missing bucket and a missing object.
    for mut place in [MOTO.place(), AZURITE.place()] {
        place.url = place.url.to_string().replace("//store/", "//elsewhere/").parse().unwrap();
        let error = error_of(&place);
        assert!(error.ends_with(": there is no such bucket"), "{error}");
        let init = Store::init(&place.url, &place.access(), now()).map(drop);
        assert!(matches!(init, Err(Error::NoBucket { .. })));
        let mut sandbox = Sandbox::new();
        place.variables.iter().for_each(|(name, value)| sandbox.set(name, value));
        let text =
            sandbox.pggit(["store", "list", "--store", &place.url.to_string()]).fails(15).stderr_text();
        assert!(
            text.contains("create the bucket with the tools of the cloud") && !text.contains("store init"),
            "{text}"
        );
    }
}

#[test]
fn with_nothing_configured_the_answer_comes_soon() {
    let silent = Proxy::start("", |_| Fault::Silence);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nobody = Proxy::start("", |_| Fault::Answer(404, "", ""));
    for metadata in [&silent.address, &closed, &nobody.address] {
        let start = Instant::now();
        let error = error_of(&on_a_machine(&S3S.place(), metadata));
        let said = "access denied: no credentials are configured, and this machine has none of its own";
        assert!(error.ends_with(said), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    let azure = AZURITE.place_with_signature();
    let mut azure = azure.with("AZURE_MSI_ENDPOINT", &format!("http://{}", silent.address));
    azure.variables.retain(|(name, _)| name != "AZURE_STORAGE_SAS_TOKEN");
    assert!(error_of(&azure).contains("no credentials are configured"));
}

#[test]
fn a_machine_of_the_cloud_has_its_own_keys() {
    let metadata = Proxy::start("", |seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("PUT", "/latest/api/token") => Fault::Answer(200, "", "a-token"),
        (_, "/latest/meta-data/iam/security-credentials/") => Fault::Answer(200, "", "backup"),
        (_, "/latest/meta-data/iam/security-credentials/backup") => {
            Fault::Answer(200, "Content-Type: application/json\r\n", METADATA)
        }
        _ => Fault::Answer(404, "", ""),
    });
    let place = on_a_machine(&S3S.place(), &metadata.address);
    place.init();
    place.open();
}

#[test]
fn a_container_has_its_own_keys() {
    let agent = Proxy::start("", |seen| match seen.head.contains("a-token") {
        true => Fault::Answer(200, "", METADATA),
        false => Fault::Answer(401, "", ""),
    });
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "a-token").unwrap();
    on_a_machine(&S3S.place(), "127.0.0.1:1")
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{}/v1", agent.address))
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap())
        .init();
}

/// Makes a sandbox whose user has these files of the AWS command line.
fn with_profiles(credentials: &str, config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let directory = sandbox.home().join(".aws");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("credentials"), credentials).unwrap();
    fs::write(directory.join("config"), config).unwrap();
    sandbox
}

#[test]
fn profiles_name_keys_servers_and_programs() {
    let place = S3S.place();
    let mut sandbox = with_profiles(
        "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = secretsecret\n",
        &format!(
            "[default]\nendpoint_url = http://{0}\n[profile asks]\nendpoint_url = http://{0}\n\
             credential_process = '{1}/my keys' asked\n[profile silent]\ncredential_process = false\n\
             [profile noise]\ncredential_process = echo s3cret\n[profile role]\nrole_arn = x\nsource_profile = default\n",
            place.address, "HOME"
        ),
    );
    let config = sandbox.home().join(".aws/config");
    let text = fs::read_to_string(&config).unwrap().replace("HOME", sandbox.home().to_str().unwrap());
    fs::write(&config, text).unwrap();
    program(
        &sandbox.home().join("my keys"),
        "[ \"$1\" = asked ] && echo '{\"Version\": 1, \"AccessKeyId\": \"AKIAEXAMPLE\", \"SecretAccessKey\": \"secretsecret\"}'",
    );
    let url = place.url.to_string();
    let _ = sandbox.pggit(["store", "init", &url]).success();
    let show = ["store", "show", "--store", &url];
    sandbox.set("AWS_PROFILE", "asks");
    let _ = sandbox.pggit(show).success();
    for (profile, reason) in [
        ("silent", "'false', the credential_process of the AWS profile: "),
        ("noise", "it printed no JSON"),
        ("role", "AWS profile 'role': it assumes a role"),
        ("none", "AWS profile 'none': there is none of this name"),
    ] {
        sandbox.set("AWS_PROFILE", profile);
        let text = sandbox.pggit(show).fails(19).stderr_text();
        assert!(text.contains(reason) && !text.contains("s3cret"), "{text}");
    }
    // Stores in directories do not use the profile.
    let directory = sandbox.path().join("store");
    let _ = sandbox.pggit(["store", "init", directory.to_str().unwrap()]).success();
}

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// No server with the behaviour of Google's is available for tests. The tests check the requests, and how
/// responses are interpreted, but not the effect of the requests.
mod google {
    use super::*;

    /// Returns a place with the key of a service account that needs no token.
    fn place(address: &str, directory: &Path) -> Place {
        let key = directory.join("key.json");
        let json = r#"{"gcs_base_url":"http://ADDRESS","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}"#;
        fs::write(&key, json.replace("ADDRESS", address)).unwrap();
        let variables = [
            ("GOOGLE_SERVICE_ACCOUNT", key.to_str().unwrap().to_owned()),
            ("GOOGLE_BASE_URL", format!("http://{address}")),
        ];
        Place::new("gs", address, &variables)
    }

    #[test]
    fn objects_are_created_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let proxy = Proxy::start("", |seen| match seen.method.as_str() {
            "GET" => Fault::Answer(404, "", "<Error><Code>NoSuchKey</Code></Error>"),
            _ => Fault::Answer(200, "ETag: \"x\"\r\nx-goog-generation: 1\r\n", ""),
        });
        let place = place(&proxy.address, directory.path());
        assert!(matches!(Store::open(&place.url, &place.access()), Err(Error::NoStore { .. })));
        place.init();
        let put = proxy.seen().pop().unwrap();
        assert_eq!((put.method.as_str(), put.target.ends_with("config")), ("PUT", true), "{put:?}");
        assert!(put.head.contains("x-goog-if-generation-match: 0\r\n"), "{}", put.head);
    }

    #[test]
    fn answers_are_understood() {
        let cases = [
            (404, "<Error><Code>NoSuchBucket</Code></Error>", "there is no such bucket"),
            (
                401,
                "<Error><Code>AuthenticationRequired</Code><Message>Who?</Message></Error>",
                "access denied: AuthenticationRequired: Who?",
            ),
            (
                403,
                "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
                "access denied: AccessDenied: No",
            ),
        ];
        for (status, text, said) in cases {
            let directory = tempfile::tempdir().unwrap();
            let proxy = Proxy::start("", move |_| Fault::Answer(status, "", text));
            let error = error_of(&place(&proxy.address, directory.path()));
            assert!(error.ends_with(said), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let place = place("127.0.0.1:1", directory.path());
        let missing = place.with("GOOGLE_SERVICE_ACCOUNT", "/nowhere/key.json");
        let settings = CloudSettings { variables: missing.variables.clone(), ..CloudSettings::default() };
        let access = pggit::store::Access { cloud: settings, ..Default::default() };
        let error = Store::open(&missing.url, &access).map(drop).unwrap_err().to_string();
        assert!(error.contains("/nowhere/key.json"), "{error}");
    }
}
