//! Runs programs. All programs are started by this module.
//!
//! A [`Cmd`] describes a program to run. Its arguments are passed unchanged, never through a shell.
//! Its environment is either our complete one or a short list. Its secrets are passed in the
//! environment and are never shown.
//!
//! Every child process leads a process group of its own. So a time limit, an interrupt or a drop
//! ends the process together with all of its child processes. Every child process is reaped. A tool
//! that is [tied](Cmd::tied) to this process ends even if this process is killed. A program that
//! runs as [another user](Cmd::as_user) has a session of its own, no terminal, and no way to gain
//! privileges.
//!
//! The standard error of a program is always read and its end is kept, because it is the best
//! explanation of a failure. The caller decides if exit status 0 means success.
//!
//! This module also contains [`interrupt`], by which Ctrl-C ends all tools, [`Owner`], which tells
//! dead processes from live ones, and [`crash_point`], at which tests kill this process.

mod apart;
mod child;
mod cmd;
mod crash;
mod error;
mod foreground;
pub mod interrupt;
mod lookup;
mod owned_dir;
mod owner;
mod pause;
mod pdeathsig;
mod pinned;
mod private;
mod secret;
mod seen;
mod server;
mod shell;
mod strays;
mod tail;
mod user;

pub use crate::domain::Owner;
pub use child::{Exit, Output, PidFd, Running, Status, widen_pipe};
pub use cmd::{Cmd, Stdin, Stdout};
pub use crash::crash_point;
pub use error::{Error, may_pass};
pub use lookup::{find_program, search_path};
pub use owned_dir::{ExclusiveDir, Leftover, OWNER_FILE, OwnedDir, sweep};
pub use owner::{Liveness, host, is_alive};
pub use pause::pause;
pub use pdeathsig::become_tool;
pub use pinned::{ChownError, Pinned, is_rooted};
pub use private::{Replacement, create_private, private_directories, write_private};
pub use secret::Secret;
pub use seen::Seen;
pub use server::{Server, ServerStop};
pub use shell::shell_word;
pub use strays::Strays;
pub use user::OsUser;
