//! The git repository: objects, refs, notes and history.
//!
//! Objects are read and written through `gix`. Refs are read through `gix` and changed only by the
//! `git` program, in one transaction (see [`refs`]). No type of `gix` is public outside of this room.

pub mod config;
mod copy;
mod diff;
mod error;
mod extensions;
pub mod health;
mod history;
pub mod hooks;
mod identity;
mod notes;
mod objects;
mod open;
mod pattern;
mod program;
mod prune;
mod race;
mod reach;
pub mod refs;
mod remote;
pub mod setup;
mod sign;
mod signature;
mod tips;
mod trees;
mod upkeep;
mod worktree;
mod writer;

pub use diff::{Diff, DiffOptions};
pub use error::Error;
pub use history::{Branch, CommitSummary, Graph, Walk};
pub use identity::Identity;
pub use notes::{NewNote, NoteDifference, Notes};
pub use objects::{CommitData, Oid};
pub use open::Repository;
pub use pattern::{BranchPatterns, InvalidPattern, PathPatterns};
pub use race::retrying;
pub use reach::Reach;
pub use refs::{RefDeletion, RefUpdate, Transaction};
pub use remote::{Outcome, Pushed};
pub use signature::{Signature, Verdict};
pub use tips::Tips;
pub use trees::{Directory, TreeEntry};
pub use worktree::Worktree;
pub use writer::{NewCommit, TreeChange, Writer};
