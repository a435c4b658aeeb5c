//! The index: what listings need to know about all backups, in one file.
//!
//! `<common git dir>/pggit/index` is a cache and nothing more. Its rows belong
//! to the tips of refs, which name their content: a row whose ref has another
//! tip now is not used, and that ref is read again. So nothing has to be told
//! to it, neither a gc nor a fetch nor a ref that somebody moved by hand. A file
//! that is not exactly as it was written, by this version, is as good as none.
//! It is replaced as a whole, by renaming, and where that fails the answers are
//! right all the same.
//!
//! Refs with damage never get into it, so that the damage is named every time.

mod light;
mod lookup;
mod overview;
mod packed;
mod refresh;
mod row;
mod segment;

pub use overview::Overview;
pub use refresh::Refreshed;
pub use row::Row;
