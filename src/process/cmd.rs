//! The description of a program to run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use super::child::{Output, Running};
use super::{Error, OsUser, Secret, apart, interrupt, pdeathsig};

/// The variables of our environment that a tool inherits.
const ALLOWED: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LD_LIBRARY_PATH"];
/// The prefixes of further such variables: libpq, TLS and Kerberos.
const ALLOWED_PREFIXES: [&str; 3] = ["PG", "SSL", "KRB5"];
/// The prefix of our own variables. A tool does not inherit them, because they may name databases.
const OUR_PREFIX: &str = "PGGIT_";

/// The default time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// The default limit of the output of [`Cmd::run`] in bytes.
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

/// The standard input of a program.
#[derive(Debug, Default)]
pub enum Stdin {
    /// No input.
    #[default]
    Null,
    /// A pipe: see [`Running::take_stdin`].
    Piped,
    /// An open file.
    File(File),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// The standard output of a program.
#[derive(Debug, Default)]
pub enum Stdout {
    /// A pipe: see [`Running::take_stdout`] and [`Output::stdout`].
    #[default]
    Piped,
    /// An open file.
    File(File),
    /// The output is discarded.
    Null,
    /// The pipe of standard error: [`Exit::stderr`](super::Exit) has the end of both.
    Joined,
}

/// A program with its arguments, environment and streams. `Debug` does not show the values of
/// environment variables.
pub struct Cmd {
    pub(super) program: OsString,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    user: Option<OsUser>,
    inherit_env: bool,
    env: BTreeMap<OsString, OsString>,
    hidden: Vec<&'static str>,
    pub(super) secrets: Vec<(OsString, Secret)>,
    stdin: Stdin,
    stdout: Stdout,
    pub(super) deadline: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) survives_interrupt: bool,
    foreground: bool,
    tied: bool,
    pub(super) stdout_limit: usize,
}

impl Cmd {
    /// Describes a tool by path, or by name from `PATH`. A tool inherits only a few variables of
    /// our environment, runs in the C locale, and ends with this process.
    pub fn new(program: impl Into<OsString>) -> Self {
        let env = [("LC_ALL", "C"), ("LC_MESSAGES", "C")];
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            user: None,
            inherit_env: false,
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            hidden: Vec::new(),
            secrets: Vec::new(),
            stdin: Stdin::default(),
            stdout: Stdout::default(),
            deadline: None,
            grace: GRACE,
            survives_interrupt: false,
            foreground: false,
            tied: false,
            stdout_limit: OUTPUT_LIMIT,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the working directory.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Runs the program as another user, which requires root: with the ids and the home of that user,
    /// without supplementary groups, in a session of its own without a terminal, with
    /// `no_new_privs`, and by default in the root directory. Has no effect if this process already
    /// runs as that user.
    pub fn as_user(mut self, user: &OsUser) -> Self {
        self.user = (!user.is_us()).then(|| user.clone());
        self
    }

    /// Lets the program inherit our complete environment and locale. git requires this.
    pub fn inherit_env(mut self) -> Self {
        self.inherit_env = true;
        self.env.clear();
        self
    }

    /// Removes variables of our environment, unless they are set for this program.
    pub fn hide_env(mut self, names: &'static [&'static str]) -> Self {
        self.hidden.extend(names);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets a variable with a secret value. The value is never shown, and is removed from the
    /// messages of the program.
    pub fn secret_env(mut self, name: impl Into<OsString>, value: Secret) -> Self {
        self.secrets.push((name.into(), value));
        self
    }

    /// Sets the standard input; the default is no input.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets the standard output; the default is a pipe.
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets a time limit, after which the program and all of its child processes are ended.
    pub fn deadline(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.deadline = after.into();
        self
    }

    /// Sets the time between SIGTERM and SIGKILL.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Lets the program start and continue after a signal to this process. git requires this,
    /// because it must finish a started operation.
    pub fn survives_interrupt(mut self) -> Self {
        self.survives_interrupt = true;
        self
    }

    /// Leaves the program in our process group. There it can prompt for a password on the terminal,
    /// and the terminal sends it Ctrl-C. Its child processes are then not ended together with it.
    pub fn foreground(mut self) -> Self {
        self.foreground = true;
        self.survives_interrupt = true;
        self
    }

    /// Sends SIGTERM to the program if this process is killed. This is for long-running programs
    /// that would not notice it. The thread that starts the program must wait until it exits. A
    /// program of another user is tied only if that user may execute the file of this program.
    pub fn tied(mut self) -> Self {
        self.tied = true;
        self
    }

    /// Sets the limit of the output of [`Cmd::run`] in bytes.
    pub fn stdout_limit(mut self, bytes: usize) -> Self {
        self.stdout_limit = bytes;
        self
    }

    /// Starts the program. Fails if it is missing or cannot be started, or after a signal to this
    /// process.
    pub fn spawn(mut self) -> Result<Running, Error> {
        let stdin = std::mem::take(&mut self.stdin);
        let stdout = std::mem::take(&mut self.stdout);
        let joined = matches!(stdout, Stdout::Joined);
        let mut input = None;
        let mut command = self.command();
        command.stdin(match stdin {
            Stdin::Null => Stdio::null(),
            Stdin::Piped => Stdio::piped(),
            Stdin::File(file) => file.into(),
            Stdin::Bytes(bytes) => {
                input = Some(bytes);
                Stdio::piped()
            }
        });
        command.stdout(match stdout {
            Stdout::Piped => Stdio::piped(),
            Stdout::File(file) => file.into(),
            Stdout::Null | Stdout::Joined => Stdio::null(),
        });
        command.stderr(Stdio::piped());
        let joined = match joined {
            true => Some(join(&mut command).map_err(|source| self.start_error(source))?),
            false => None,
        };
        let mut start = || command.spawn().map_err(|source| self.start_error(source));
        let mut child =
            if self.survives_interrupt { start()? } else { interrupt::register(start, Running::group_of)? };
        child.stderr = joined.or(child.stderr.take());
        let mut running = Running::new(self, child)?;
        if let Some(bytes) = input {
            running.feed(bytes)?;
        }
        Ok(running)
    }

    /// Runs the program and returns its output. Fails if it reports a failure, or as
    /// [`Cmd::run_any`] does.
    pub fn run(self) -> Result<Output, Error> {
        self.run_any()?.success()
    }

    /// Runs the program and returns its output with any exit status. Fails if it cannot be started,
    /// exceeds a limit or is ended by a signal to this process.
    pub fn run_any(self) -> Result<Output, Error> {
        let limit = self.stdout_limit;
        self.spawn()?.collect(limit)
    }

    /// Runs the program with `input` as its standard input. The program need not read all of it.
    /// Returns and fails as [`Cmd::run_any`] does, and fails if `input` cannot be read.
    pub fn run_with(self, input: &mut (dyn Read + Send)) -> Result<Output, Error> {
        let (limit, program) = (self.stdout_limit, self.program.clone());
        let mut running = self.stdin(Stdin::Piped).spawn()?;
        let mut pipe = running.take_stdin().expect("stdin is piped");
        std::thread::scope(|scope| {
            let feeder = scope.spawn(move || match io::copy(input, &mut pipe) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                _ => Ok(()),
            });
            let output = running.collect(limit);
            let fed = feeder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            fed.map_err(|source| Error::Io { program, source })?;
            output
        })
    }

    /// Returns the program and its arguments, to show to a user.
    pub fn argv(&self) -> Vec<&OsStr> {
        std::iter::once(&self.program).chain(&self.args).map(OsString::as_os_str).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one door to programs")]
    pub(super) fn command(&self) -> Command {
        let dir = self.cwd.as_deref().or(self.user.is_some().then_some(Path::new("/")));
        let apart = self.user.as_ref().zip(dir);
        let apart = apart.and_then(|(user, dir)| apart::instead_of(&self.program, user, self.tied, dir));
        let is_apart = apart.is_some();
        let tied =
            || (self.tied && self.user.is_none()).then(|| pdeathsig::instead_of(&self.program)).flatten();
        let mut command = apart.or_else(tied).unwrap_or_else(|| Command::new(&self.program));
        command.args(&self.args);
        // A new session makes its process the leader of a group. A process that already leads one
        // cannot begin a session.
        if !self.foreground && !is_apart {
            command.process_group(0);
        }
        match dir {
            // The process changes to the directory itself, as that user.
            _ if is_apart => drop(command.current_dir("/")),
            Some(dir) => drop(command.current_dir(dir)),
            None => {}
        }
        // The program was not found, or this code runs inside another executable. Then only the ids
        // are changed.
        if let Some(user) = self.user.as_ref().filter(|_| !is_apart) {
            command.uid(user.uid).gid(user.gid);
        }
        if !self.inherit_env {
            command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_allowed(name)));
        }
        for name in &self.hidden {
            command.env_remove(name);
        }
        if let Some(user) = &self.user {
            command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
        }
        command.envs(&self.env).envs(self.secrets.iter().map(|(name, secret)| (name, secret.reveal())));
        command
    }

    /// Returns the error for a program that did not start.
    pub(super) fn start_error(&self, source: std::io::Error) -> Error {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let program = self.program.clone();
        let cwd_is_fine = self.cwd.as_ref().is_none_or(|dir| dir.is_dir());
        let exists = program.as_bytes().contains(&b'/') && Path::new(&program).exists();
        match source.kind() {
            PermissionDenied if self.user.is_some() => Error::Spawn { program, source },
            NotFound if cwd_is_fine && !exists => Error::NotFound { program },
            PermissionDenied if cwd_is_fine => Error::NotExecutable { program },
            _ if source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                Error::NotExecutable { program }
            }
            _ => Error::Spawn { program, source },
        }
    }
}

fn is_allowed(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let family = ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
    (family && !name.starts_with(OUR_PREFIX.as_bytes()))
        || ALLOWED.iter().any(|known| name == known.as_bytes())
}

/// Directs both output streams of `command` into one pipe. Returns the read end. Fails if no pipe
/// can be created.
fn join(command: &mut Command) -> io::Result<ChildStderr> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(OwnedFd::from(reader).into())
}

/// Writes `bytes` to a program in a separate thread, because the program may write output before it
/// reads. Unread input is not an error. Fails if no thread can be created.
pub(super) fn feed(stdin: impl Write + Send + 'static, bytes: Vec<u8>) -> std::io::Result<()> {
    let mut stdin = stdin;
    std::thread::Builder::new().name("stdin".into()).spawn(move || stdin.write_all(&bytes)).map(drop)
}

impl fmt::Debug for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret_names: Vec<_> = self.secrets.iter().map(|(name, _)| name).collect();
        f.debug_struct("Cmd")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("secret_env", &secret_names)
            .finish_non_exhaustive()
    }
}
