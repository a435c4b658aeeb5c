//! Revisions, branches and the commits between them.

use gix::bstr::ByteSlice;

use super::{Error, Oid, Repository};

/// A branch and its tip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The short name: `main`, `feature/x`.
    pub name: String,
    /// The commit at the tip.
    pub tip: Oid,
}

/// The facts about a commit that fit into one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSummary {
    /// The object id.
    pub id: Oid,
    /// The first line of the message.
    pub subject: String,
    /// The commit time in seconds since the Unix epoch.
    pub committed_at: i64,
}

/// Commits, each with its parents.
pub type Graph = Vec<(Oid, Vec<Oid>)>;

/// The options of [`Repository::walk`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walk {
    /// True to follow only the first parent of each commit.
    pub first_parent: bool,
    /// Maximum number of commits.
    pub limit: Option<usize>,
}

impl Repository {
    /// Returns the commit that a revision names, by git's grammar (`HEAD~3`, `v1.0`, `main@{yesterday}`,
    /// an abbreviated id). Fails if it names no commit, or is ambiguous.
    pub fn resolve_commit(&self, revision: &str) -> Result<Oid, Error> {
        let unknown = |detail: String| Error::UnknownRevision { revision: revision.to_owned(), detail };
        if revision.is_empty() || revision.starts_with('-') || revision.contains(['\0', '\n']) {
            return Err(unknown("not a revision".to_owned()));
        }
        if revision == "HEAD" || revision == "@" {
            return self.head();
        }
        let parsed = self.gix.rev_parse_single(revision).map(gix::Id::detach);
        // While a gc is running, the library may fail to find an existing object.
        let parsed = parsed.or_else(|error| match self.reopen() {
            Some(reopened) => reopened.rev_parse_single(revision).map(gix::Id::detach),
            None => Err(error),
        });
        let id = match parsed {
            Ok(id) => id,
            Err(error) => {
                let detail = super::error::describe(&error);
                if self.is_unborn() && revision.starts_with("HEAD") {
                    return self.head();
                }
                if detail.contains("ambiguous") {
                    return Err(Error::AmbiguousRevision { revision: revision.to_owned(), detail });
                }
                return Err(unknown(detail));
            }
        };
        self.peel_to_commit(Oid(id))?.ok_or_else(|| unknown("not a commit".to_owned()))
    }

    fn is_unborn(&self) -> bool {
        self.gix.head().is_ok_and(|head| head.is_unborn())
    }

    /// Returns the commit of HEAD. Fails if the branch has no commits yet.
    pub fn head(&self) -> Result<Oid, Error> {
        if self.is_unborn() {
            let name = self.head_branch().unwrap_or_else(|| "HEAD".to_owned());
            return Err(Error::Unborn { name: format!("branch `{name}`") });
        }
        let head = self.gix.head().map_err(Error::library("read HEAD"))?;
        let detail = || "HEAD has no target".to_owned();
        let id =
            head.id().ok_or_else(|| Error::Library { doing: "read HEAD".to_owned(), detail: detail() })?;
        Ok(Oid(id.detach()))
    }

    /// Returns the short name of the branch of HEAD; `None` if HEAD is detached.
    pub fn head_branch(&self) -> Option<String> {
        let name = self.gix.head_name().ok()??;
        Some(name.shorten().to_str_lossy().into_owned())
    }

    /// Returns the tip of the local branch `name`, otherwise of the remote-tracking branch. Fails if there
    /// is no such branch, or if it has no commits yet.
    pub fn branch_tip(&self, name: &str) -> Result<Oid, Error> {
        for prefix in ["refs/heads/", "refs/remotes/"] {
            let full = format!("{prefix}{name}");
            if gix::refs::FullName::try_from(full.as_str()).is_ok()
                && let Some(tip) = self.ref_tip(&full)?
            {
                return Ok(tip);
            }
        }
        if self.is_unborn() && self.head_branch().as_deref() == Some(name) {
            return Err(Error::Unborn { name: format!("branch `{name}`") });
        }
        Err(Error::UnknownRevision { revision: name.to_owned(), detail: "no such branch".to_owned() })
    }

    /// Returns all local branches. Fails if the refs cannot be read.
    pub fn branches(&self) -> Result<Vec<Branch>, Error> {
        let refs = self.refs_under("refs/heads/")?;
        Ok(refs.into_iter().map(|(name, tip)| Branch { name, tip }).collect())
    }

    /// Returns the names of the local branches and tags that point to `commit`. Fails if refs or tags
    /// cannot be read.
    pub fn names_at(&self, commit: Oid) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for (name, tip) in self.refs_under("refs/heads/")? {
            if tip == commit {
                names.push(name);
            }
        }
        for (name, tip) in self.refs_under("refs/tags/")? {
            if tip == commit || self.peel_to_commit(tip)? == Some(commit) {
                names.push(format!("tag: {name}"));
            }
        }
        Ok(names)
    }

    /// Returns the commits that are reachable from `tips` and not from `hidden`, newest first. In a
    /// shallow clone the history ends without an error. Fails if a commit cannot be read.
    pub fn walk(&self, tips: &[Oid], hidden: &[Oid], walk: Walk) -> Result<Vec<Oid>, Error> {
        walk_in(&self.gix, tips, hidden, walk).or_else(|error| match self.reopen() {
            Some(reopened) => walk_in(&reopened, tips, hidden, walk),
            None => Err(error),
        })
    }

    /// Returns the newest commits that are reachable from `tip`, at most `most`, each with its parents, the
    /// newest first. Fails if a commit cannot be read.
    pub fn recent(&self, tip: Oid, most: usize) -> Result<Graph, Error> {
        recent_in(&self.gix, tip, most).or_else(|error| match self.reopen() {
            Some(reopened) => recent_in(&reopened, tip, most),
            None => Err(error),
        })
    }

    /// Returns all commits that are reachable from `tips`, each with its parents. Fails if a commit cannot
    /// be read.
    pub fn graph(&self, tips: &[Oid]) -> Result<Graph, Error> {
        graph_in(&self.gix, tips).or_else(|error| match self.reopen() {
            Some(reopened) => graph_in(&reopened, tips),
            None => Err(error),
        })
    }

    /// Returns the commits that are reachable from `tip` without passing a commit for which `stop` returns
    /// true, each with its parents; `None` if there are more than `most`. Fails if a commit cannot be
    /// read.
    pub fn ahead(&self, tip: Oid, most: usize, stop: impl Fn(Oid) -> bool) -> Result<Option<Graph>, Error> {
        let doing = || Error::library("walk the history");
        let commits = self.gix.rev_walk([tip.0]).selected(|id| !stop(Oid(id.to_owned()))).map_err(doing())?;
        let found: Vec<_> =
            commits.take(most.saturating_add(1)).map(with_parents).collect::<Result<_, _>>()?;
        Ok((found.len() <= most).then_some(found))
    }

    /// Opens the same repository again; `None` if that fails.
    fn reopen(&self) -> Option<gix::Repository> {
        gix::ThreadSafeRepository::open_opts(self.gix.path(), self.gix.open_options().clone())
            .ok()
            .map(Into::into)
    }

    /// Resolves a range in git's notation: `a..b` or a single revision. Returns the tip and the excluded
    /// tip. Fails if a revision is unknown, or the range is `a...b`.
    pub fn resolve_range(&self, range: &str) -> Result<(Oid, Option<Oid>), Error> {
        let side = |text: &str| self.resolve_commit(if text.is_empty() { "HEAD" } else { text });
        match range.split_once("..") {
            Some((_, to)) if to.starts_with('.') => Err(Error::UnknownRevision {
                revision: range.to_owned(),
                detail: "a symmetric difference is not supported".to_owned(),
            }),
            Some((from, to)) => Ok((side(to)?, Some(side(from)?))),
            None => Ok((side(range)?, None)),
        }
    }

    /// Returns the summary of a commit. Fails if it cannot be read.
    pub fn summary(&self, id: Oid) -> Result<CommitSummary, Error> {
        let commit = self.commit(id)?;
        Ok(CommitSummary { id, subject: commit.subject, committed_at: commit.committed_at })
    }

    /// Returns the first line of the message of a commit, or nothing if the commit cannot be read, as
    /// in a shallow clone.
    pub fn subject(&self, id: Oid) -> String {
        self.summary(id).map(|summary| summary.subject).unwrap_or_default()
    }
}

fn walk_in(gix: &gix::Repository, tips: &[Oid], hidden: &[Oid], walk: Walk) -> Result<Vec<Oid>, Error> {
    use gix::revision::walk::Sorting;
    use gix::traverse::commit::simple::CommitTimeOrder;
    let doing = || Error::library("walk the history");
    let mut platform = gix
        .rev_walk(tips.iter().map(|tip| tip.0))
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
        .with_hidden(hidden.iter().map(|tip| tip.0));
    if walk.first_parent {
        platform = platform.first_parent_only();
    }
    let commits = platform.all().map_err(doing())?;
    commits
        .take(walk.limit.unwrap_or(usize::MAX))
        .map(|info| info.map(|info| Oid(info.id)).map_err(doing()))
        .collect()
}

fn recent_in(gix: &gix::Repository, tip: Oid, most: usize) -> Result<Graph, Error> {
    use gix::revision::walk::Sorting;
    use gix::traverse::commit::simple::CommitTimeOrder;
    let newest_first = Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
    let commits = gix.rev_walk([tip.0]).sorting(newest_first).all();
    let commits = commits.map_err(Error::library("walk the history"))?;
    commits.take(most).map(with_parents).collect()
}

fn graph_in(gix: &gix::Repository, tips: &[Oid]) -> Result<Graph, Error> {
    let doing = || Error::library("walk the history");
    let commits = gix.rev_walk(tips.iter().map(|tip| tip.0)).all().map_err(doing())?;
    commits.map(with_parents).collect()
}

fn with_parents(info: gix::Result<gix::revision::walk::Info<'_>>) -> Result<(Oid, Vec<Oid>), Error> {
    let info = info.map_err(Error::library("walk the history"))?;
    Ok((Oid(info.id), info.parent_ids.iter().copied().map(Oid).collect()))
}
