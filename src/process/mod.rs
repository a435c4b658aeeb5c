//! The one door to programs.
//!
//! A [`Cmd`] describes a program to run: its arguments are passed as they are,
//! never through a shell; its environment is either all of ours or a short list;
//! its secrets travel in the environment and are shown to nobody. Every child
//! leads a process group of its own, so that a deadline, an interrupt or the
//! loss of interest ends it together with everything it has started, and every
//! child is reaped. A tool that is [tied](Cmd::tied) to us ends even when we are
//! killed. A program that runs as [another user](Cmd::as_user) has a session of its own, no
//! terminal, and no way to gain privileges.
//!
//! What a program says on stderr is always read and the end of it kept, because
//! its own words are the best explanation of a failure. Whether an exit status
//! of 0 means success is for the caller to say.
//!
//! Beside that live here: [`interrupt`], which turns Ctrl-C into the end of all
//! tools; [`Owner`], which tells a dead process from a live one; and
//! [`crash_point`], at which tests kill this process.

mod apart;
mod attached;
mod child;
mod cmd;
mod crash;
mod error;
pub mod interrupt;
mod lookup;
mod owned_dir;
mod owner;
mod pause;
mod pinned;
mod private;
mod secret;
mod seen;
mod server;
mod shell;
mod strays;
mod tail;
mod tied;
mod user;

pub use crate::domain::Owner;
pub use child::{Exit, Output, Running, Signaller, Status, widen_pipe};
pub use cmd::{Cmd, Stdin, Stdout};
pub use crash::crash_point;
pub use error::{Error, may_pass};
pub use lookup::{find_program, search_path};
pub use owned_dir::{ExclusiveDir, Leftover, OWNER_FILE, OwnedDir, sweep};
pub use owner::{Liveness, host, is_alive};
pub use pause::pause;
pub use pinned::{Kept, Pinned, is_rooted};
pub use private::{Replacement, create_private, private_directories, write_private};
pub use secret::Secret;
pub use seen::Seen;
pub use server::{Ending, Server};
pub use shell::shell_word;
pub use strays::Strays;
pub use tied::become_tool;
pub use user::OsUser;
