//! The profiles of the AWS command line: the settings in `~/.aws` that supplement the environment.
//!
//! The files belong to the user, so they may name a program that prints credentials. This module does
//! not run the program.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Environment, Error};

/// The settings that the chosen profile adds to the environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AwsProfile {
    /// Environment variables and their values.
    pub variables: Vec<(String, String)>,
    /// A program with its arguments. It prints credentials as JSON.
    pub credential_process: Option<Vec<String>>,
}

type Section = BTreeMap<String, String>;

impl AwsProfile {
    /// Loads the profile that `environment` selects. `read` returns the text of a file, or `None` if
    /// the file is missing. The environment takes precedence, so a setting that it has is left out.
    ///
    /// # Errors
    /// Fails if a file cannot be read, if the selected profile does not exist, or if it has unsupported
    /// settings.
    pub fn load(
        environment: &Environment,
        read: impl Fn(&Path) -> io::Result<Option<String>>,
    ) -> Result<Self, Error> {
        let chosen = environment.text("AWS_PROFILE").or(environment.text("AWS_DEFAULT_PROFILE"));
        let name = chosen.unwrap_or("default");
        let refuse = |reason: String| Error::AwsProfile { profile: name.to_owned(), reason };
        let text = |path: Option<PathBuf>| match path {
            Some(path) => {
                read(&path).map_err(|error| refuse(format!("cannot read '{}': {error}", path.display())))
            }
            None => Ok(None),
        };
        let credentials = text(file(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials"))?;
        let config = text(file(environment, "AWS_CONFIG_FILE", "config"))?;
        let credentials = credentials.and_then(|text| sections(&text).remove(name));
        let config = config.and_then(|text| {
            let mut sections = sections(&text);
            sections
                .remove(&format!("profile {name}"))
                .or_else(|| sections.remove("default").filter(|_| name == "default"))
        });
        if credentials.is_none() && config.is_none() {
            return match chosen {
                Some(_) => Err(refuse(
                    "there is none of this name in ~/.aws/config or ~/.aws/credentials".to_owned(),
                )),
                None => Ok(Self::default()),
            };
        }
        // The credentials file takes precedence over the config file.
        let mut section = config.unwrap_or_default();
        section.extend(credentials.unwrap_or_default());
        Self::of(environment, &section).map_err(|reason| refuse(reason.to_owned()))
    }

    fn of(environment: &Environment, section: &Section) -> Result<Self, &'static str> {
        let mut profile = Self::default();
        let mut take = |pairs: &[(&str, &str)]| {
            for (name, variable) in pairs {
                if let (Some(value), None) = (section.get(*name), environment.get(variable)) {
                    profile.variables.push(((*variable).to_owned(), value.clone()));
                }
            }
        };
        take(&[("endpoint_url", "AWS_ENDPOINT_URL"), ("ca_bundle", "AWS_CA_BUNDLE")]);
        if environment.get("AWS_REGION").is_none() && environment.get("AWS_DEFAULT_REGION").is_none() {
            take(&[("region", "AWS_REGION")]);
        }
        if environment.get("AWS_ACCESS_KEY_ID").is_some()
            || environment.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        {
            return Ok(profile);
        }
        let has = |name: &str| section.contains_key(name);
        if has("role_arn") && has("web_identity_token_file") {
            take(&[
                ("role_arn", "AWS_ROLE_ARN"),
                ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"),
                ("role_session_name", "AWS_ROLE_SESSION_NAME"),
            ]);
        } else if has("role_arn") {
            return Err("it assumes a role");
        } else if has("aws_access_key_id") {
            take(&[
                ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
                ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
                ("aws_session_token", "AWS_SESSION_TOKEN"),
            ]);
        } else if let Some(line) = section.get("credential_process") {
            let words = words(line).filter(|words| !words.is_empty());
            profile.credential_process = Some(words.ok_or("its credential_process has an open quote")?);
        } else if has("sso_session") || has("sso_start_url") || has("login_session") {
            return Err("it signs in interactively");
        }
        Ok(profile)
    }
}

/// Prints only the names, because the values are secret.
impl std::fmt::Debug for AwsProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.iter().map(|(name, _)| name)).finish()
    }
}

fn file(environment: &Environment, variable: &str, name: &str) -> Option<PathBuf> {
    let home = environment.get("HOME").map(Path::new);
    match environment.get(variable) {
        Some(path) => Some(match (Path::new(path).strip_prefix("~"), home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.into(),
        }),
        None => home.map(|home| home.join(".aws").join(name)),
    }
}

/// Returns the sections of a file. Indented lines are ignored; they belong to nested values that are
/// not needed.
fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = name
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']))
                .collect::<Vec<_>>()
                .join(" ");
            sections.entry(name.clone()).or_default();
            current = Some(name);
        } else if let (Some((name, value)), Some(section)) = (line.split_once('='), &current) {
            let value = value.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default();
            if let Some(section) = sections.get_mut(section).filter(|_| !value.trim().is_empty()) {
                section.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }
    sections
}

/// Splits a command line into words as a shell does, without expansion.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().push(characters.next()?),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = AKIA\naws_secret_access_key=s3cret # mine\n\
        [other]\nAWS_ACCESS_KEY_ID=B\naws_secret_access_key=C\naws_session_token=D\n";
    const CONFIG: &str = "# mine\n[default]\nregion = eu-central-1\n[profile \"minio\"]\nendpoint_url = http://127.0.0.1:9000\n\
        s3 =\n  max_concurrent_requests = 3\ncredential_process = \"/opt/my keys\" --for 'a b' c\\ d\n\
        [profile role]\nrole_arn = arn:x\nsource_profile = default\n[profile sso]\nsso_session = corp\n\
        [profile web]\nrole_arn = arn:y\nweb_identity_token_file = /t\n[profile open]\ncredential_process = \"x\n";

    fn load(variables: &[(&str, &str)]) -> Result<AwsProfile, Error> {
        let home = [("HOME", "/home/ada")];
        let environment: Environment = home.iter().chain(variables).copied().collect();
        AwsProfile::load(&environment, |path| {
            Ok(match path.to_str() {
                Some("/home/ada/.aws/credentials") => Some(CREDENTIALS.to_owned()),
                Some("/home/ada/.aws/config") => Some(CONFIG.to_owned()),
                _ => None,
            })
        })
    }

    fn pairs(variables: &[(&str, &str)]) -> String {
        let profile = load(variables).unwrap();
        profile.variables.iter().map(|(name, value)| format!("{name}={value} ")).collect()
    }

    #[test]
    fn profiles_are_found_and_the_environment_counts_more() {
        assert_eq!(
            pairs(&[]),
            "AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=AKIA AWS_SECRET_ACCESS_KEY=s3cret "
        );
        assert_eq!(pairs(&[("AWS_ACCESS_KEY_ID", "x"), ("AWS_DEFAULT_REGION", "y")]), "");
        assert_eq!(
            pairs(&[("AWS_PROFILE", "other")]),
            "AWS_ACCESS_KEY_ID=B AWS_SECRET_ACCESS_KEY=C AWS_SESSION_TOKEN=D "
        );
        assert_eq!(pairs(&[("AWS_PROFILE", "web")]), "AWS_ROLE_ARN=arn:y AWS_WEB_IDENTITY_TOKEN_FILE=/t ");
        assert_eq!(pairs(&[("AWS_CONFIG_FILE", "~/none"), ("AWS_SHARED_CREDENTIALS_FILE", "/none")]), "");
        let minio = load(&[("AWS_PROFILE", "minio")]).unwrap();
        assert_eq!(minio.variables, [("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:9000".to_owned())]);
        assert_eq!(minio.credential_process.unwrap(), ["/opt/my keys", "--for", "a b", "c d"]);
        assert!(!format!("{:?}", load(&[]).unwrap()).contains("s3cret"));
    }

    #[test]
    fn what_is_not_supported_is_refused_and_named() {
        for (name, reason) in [
            ("role", "assumes a role"),
            ("sso", "interactively"),
            ("nobody", "none of this name"),
            ("open", "quote"),
        ] {
            let error = load(&[("AWS_PROFILE", name)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(reason), "{error}");
            // With access keys in the environment the role is not needed.
            let keys = load(&[("AWS_PROFILE", name), ("AWS_ACCESS_KEY_ID", "x")]);
            assert_eq!(keys.is_ok(), name != "nobody", "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn noise_is_no_panic(text: String) {
            let _ = sections(&text);
            let _ = words(&text);
        }
    }
}
