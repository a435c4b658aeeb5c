//! Repository extensions: storage formats that a reader has to support.
//!
//! Git refuses a repository with an extension that it does not know. The gix library ignores such
//! extensions: it would not find the refs in a reftable, nor the objects that a partial clone has
//! left on its remote.

use gix::bstr::ByteSlice as _;

use super::Error;

/// Extensions, in lower case, that do not affect readers or that the library supports.
const READABLE: [&str; 6] =
    ["noop", "noop-v1", "objectformat", "preciousobjects", "relativeworktrees", "worktreeconfig"];
/// Extensions that git rejects or honours even at format version 0. At that version it ignores all
/// others.
const ALWAYS: [&str; 3] = ["compatobjectformat", "partialclone", "refstorage"];

/// Fails if the repository has an extension that the library does not support. As in git, only the
/// configuration file of the repository itself counts.
pub(super) fn check(repository: &gix::Repository) -> Result<(), Error> {
    let config = repository.config_snapshot();
    let version = config.integer("core.repositoryFormatVersion").unwrap_or_default();
    let refuse = |extension| Err(Error::Extension { path: repository.git_dir().to_owned(), extension });
    for section in config.plumbing().sections().filter(|section| is_own(section.meta())) {
        let header = section.header();
        let subsection = header.subsection_name().map(|name| name.to_str_lossy().into_owned());
        if header.name().eq_ignore_ascii_case(b"remote") {
            let is_promisor = section.value("promisor").is_some_and(|value| is_true(&value));
            if let (true, Some(remote)) = (is_promisor, subsection) {
                return refuse(format!("partialClone = {remote}"));
            }
        } else if header.name().eq_ignore_ascii_case(b"extensions") {
            let subsection = subsection.map(|name| name + ".").unwrap_or_default();
            for key in section.value_names() {
                let value = section.value(&key).map(|value| value.to_str_lossy().into_owned());
                let name = format!("{subsection}{key}");
                if !is_readable(&name.to_ascii_lowercase(), value.as_deref(), version) {
                    let value = value.map_or_else(String::new, |value| format!(" = {value}"));
                    return refuse(name + &value);
                }
            }
        }
    }
    Ok(())
}

fn is_readable(name: &str, value: Option<&str>, version: i64) -> bool {
    READABLE.contains(&name)
        || (name == "refstorage" && value == Some("files"))
        || (version == 0 && !ALWAYS.contains(&name))
}

fn is_true(value: &[u8]) -> bool {
    !["", "0", "false", "no", "off"].iter().any(|no| value.eq_ignore_ascii_case(no.as_bytes()))
}

fn is_own(meta: &gix::config::file::Metadata) -> bool {
    meta.source == gix::config::Source::Local && meta.level == 0
}
