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
use super::{Error, OsUser, Secret, apart, interrupt, tied};

/// What a tool may see of our environment, beside what it is given explicitly.
const ALLOWED: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LD_LIBRARY_PATH"];
/// The same for whole families: libpq, TLS and Kerberos.
const ALLOWED_PREFIXES: [&str; 3] = ["PG", "SSL", "KRB5"];
/// Our own variables are no business of a tool, and may name databases.
const OUR_PREFIX: &str = "PGGIT_";

/// How long a program has between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(5);
/// How much output [`Cmd::run`] accepts.
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

/// Where a program reads from.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Nothing to read.
    #[default]
    Null,
    /// From [`Running::take_stdin`].
    Piped,
    /// From an open file.
    File(File),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Where a program writes to.
#[derive(Debug, Default)]
pub enum Stdout {
    /// To [`Running::take_stdout`] or [`Output::stdout`].
    #[default]
    Piped,
    /// To an open file.
    File(File),
    /// Nowhere.
    Null,
    /// To where it writes what goes wrong: the end of both is [`Exit::stderr`](super::Exit).
    Joined,
}

/// A program with its arguments, environment and streams. `Debug` shows no
/// values of the environment.
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
    /// A program by path, or by name from `PATH`. It is a tool: it sees only a
    /// short list of our environment, in the C locale, and ends with us.
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

    /// Runs it in `dir`.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Runs it as another user, which requires root: with the ids and the home of that user,
    /// without supplementary groups, in a session of its own without a terminal, with
    /// `no_new_privs`, and by default in the root directory. Has no effect if this process already
    /// runs as that user.
    pub fn as_user(mut self, user: &OsUser) -> Self {
        self.user = (!user.is_us()).then(|| user.clone());
        self
    }

    /// Lets it see the whole of our environment and its locale, as git must.
    pub fn inherit_env(mut self) -> Self {
        self.inherit_env = true;
        self.env.clear();
        self
    }

    /// Keeps variables of our environment from it, unless they are set for it.
    pub fn hide_env(mut self, names: &'static [&'static str]) -> Self {
        self.hidden.extend(names);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets a variable whose value is shown to nobody: it is removed from what
    /// the program says.
    pub fn secret_env(mut self, name: impl Into<OsString>, value: Secret) -> Self {
        self.secrets.push((name.into(), value));
        self
    }

    /// Where it reads from; nothing unless told.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Where it writes to; a pipe unless told.
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// Ends it and all it has started when it takes longer.
    pub fn deadline(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.deadline = after.into();
        self
    }

    /// How long it has between being asked to end and being killed.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Lets it run on, and be started, after a signal to us: for git, which must
    /// finish what it began.
    pub fn survives_interrupt(mut self) -> Self {
        self.survives_interrupt = true;
        self
    }

    /// Leaves it in our process group, where it may ask a person at the
    /// terminal for a password, and gets Ctrl-C by itself. What it starts is
    /// then not ended together with it.
    pub fn foreground(mut self) -> Self {
        self.foreground = true;
        self.survives_interrupt = true;
        self
    }

    /// Lets it be asked to end when we are killed: for what works for long, and
    /// would not notice. The thread that starts it has to wait for its end. What
    /// runs as another user is tied only where that user may run this program.
    pub fn tied(mut self) -> Self {
        self.tied = true;
        self
    }

    /// How much output [`Cmd::run`] accepts.
    pub fn stdout_limit(mut self, bytes: usize) -> Self {
        self.stdout_limit = bytes;
        self
    }

    /// Starts it.
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

    /// Runs it to a successful end and returns its output.
    pub fn run(self) -> Result<Output, Error> {
        self.run_any()?.success()
    }

    /// Runs it to whatever end and returns its output.
    pub fn run_any(self) -> Result<Output, Error> {
        let limit = self.stdout_limit;
        self.spawn()?.collect(limit)
    }

    /// Runs it to whatever end with what `input` yields, as far as it wants that.
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

    /// The program and its arguments, for people to see what runs.
    pub fn argv(&self) -> Vec<&OsStr> {
        std::iter::once(&self.program).chain(&self.args).map(OsString::as_os_str).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one door to programs")]
    pub(super) fn command(&self) -> Command {
        let dir = self.cwd.as_deref().or(self.user.is_some().then_some(Path::new("/")));
        let apart = self.user.as_ref().zip(dir);
        let apart = apart.and_then(|(user, dir)| apart::instead_of(&self.program, user, self.tied, dir));
        let is_apart = apart.is_some();
        let tied = || (self.tied && self.user.is_none()).then(|| tied::instead_of(&self.program)).flatten();
        let mut command = apart.or_else(tied).unwrap_or_else(|| Command::new(&self.program));
        command.args(&self.args);
        // A new session makes its process the leader of a group. A process that already leads one
        // cannot begin a session.
        if !self.foreground && !is_apart {
            command.process_group(0);
        }
        match dir {
            // The process changes into the directory itself, as that user.
            _ if is_apart => drop(command.current_dir("/")),
            Some(dir) => drop(command.current_dir(dir)),
            None => {}
        }
        // The program was not found, or this code runs inside another executable: then only the ids
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

    /// Says whose fault it is that a program did not start.
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

/// Lets `command` write all it says into one pipe; the end to read from.
fn join(command: &mut Command) -> io::Result<ChildStderr> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(OwnedFd::from(reader).into())
}

/// Writes `bytes` to a program from a thread of its own: it may first want to
/// be read. That it does not want all of them is no error.
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
