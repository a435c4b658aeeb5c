//! The git repository: objects, refs, notes and history.
//!
//! Objects are read and written through `gix`. Refs are read through `gix` and changed only by the
//! `git` program, in one transaction (see [`refs`]). No type of `gix` is public outside of this room.

pub mod config;
mod copy_commit;
mod diff;
mod error;
mod exposure;
mod extensions;
mod gc_guard;
pub mod health;
mod history;
pub mod hooks;
mod identity;
mod maintenance;
mod notes;
mod objects;
mod open;
mod pattern;
mod position;
mod program;
pub mod refs;
mod remote;
mod retry;
pub mod setup;
mod sign;
mod signature;
mod tips;
mod trees;
mod worktree;
mod writer;

pub use diff::{Diff, DiffOptions};
pub use error::Error;
pub use exposure::RefExposure;
pub use history::{Branch, CommitSummary, Graph, Walk};
pub use identity::Identity;
pub use notes::{NewNote, NoteDifference, Notes};
pub use objects::{CommitData, Oid};
pub use open::Repository;
pub use pattern::{BranchPatterns, InvalidPattern, PathPatterns, matches_path};
pub use position::Position;
pub use refs::{RefDeletion, RefUpdate, Transaction};
pub use remote::{PushOutcome, PushedRef};
pub use retry::retry_on_conflict;
pub use signature::{Signature, SignatureVerdict};
pub use tips::Tips;
pub use trees::{Directory, EntryKind, TreeEntry};
pub use worktree::Worktree;
pub use writer::{NewCommit, TreeChange, Writer};
