//! The index: the facts about all backups that listings need, in one file.
//!
//! `<common git dir>/pggit/index` is only a cache. Its rows belong to the tips of refs. A tip is the
//! hash of its content: a row whose ref has another tip now is stale, and that ref is read again. So
//! the index needs no notification of a gc, a fetch, or a ref that was moved by hand. A file that is
//! corrupt, or was written by another version of the program, is ignored. The file is replaced by an
//! atomic rename. If that fails, results are still correct, only slower.
//!
//! Damaged refs are never put into the index, so that the damage is reported every time.

mod lookup;
mod overview;
mod owned_row;
mod packed;
mod refresh;
mod row;
mod segment;

pub use overview::Overview;
pub use refresh::IndexRefresh;
pub use row::Row;
