//! The texts with which cron and systemd make the backups of a schedule. Pure.

use std::path::{Path, PathBuf};

use super::ScheduledRule;
use crate::process::shell_word;

/// A command line that makes the backup of a schedule.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Variables of the environment.
    variables: Vec<(String, String)>,
    /// The program and its arguments.
    words: Vec<String>,
}

/// The reason why a command line cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// A path is not text.
    #[error("not UTF-8: {}", .0.display())]
    NotUtf8(PathBuf),
    /// A path has a line break, which ends a line of a crontab.
    #[error("a crontab cannot name a path with a line break")]
    LineBreak,
}

impl Invocation {
    /// Returns the command line for a schedule of the repository in the directory `top`. Fails if a
    /// path is not UTF-8.
    pub fn new(planned: &ScheduledRule, program: &Path, top: &Path) -> Result<Self, InvocationError> {
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| InvocationError::NotUtf8(path.to_owned()))
        };
        let mut words = vec![text(program)?, "-C".to_owned(), text(top)?];
        words.extend(["backup", "create", "--database", planned.database.as_str()].map(str::to_owned));
        if planned.rule.kind.is_some() {
            words.extend(["--type".to_owned(), planned.kind.to_string()]);
        }
        let mut variables = Vec::new();
        if let Some(tool) = &planned.rule.tool {
            let key = format!("pggit.{}.tool", planned.database);
            let values = [("COUNT", "1"), ("KEY_0", &key), ("VALUE_0", tool.as_str())];
            variables.extend(values.map(|(name, value)| (format!("GIT_CONFIG_{name}"), value.to_owned())));
        }
        Ok(Self { variables, words })
    }

    /// Returns one line for the shell that cron runs. The line ends at a line break, and cron reads
    /// `%` as one. Fails if a path has a line break.
    pub fn cron_command(&self) -> Result<String, InvocationError> {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={}", shell_word(value)));
        let line: Vec<String> =
            variables.chain(self.words.iter().map(|word| shell_word(word).into_owned())).collect();
        let line = line.join(" ");
        if line.contains(['\n', '\r']) {
            return Err(InvocationError::LineBreak);
        }
        Ok(line.replace('%', r"\%"))
    }

    /// Returns the text of a service of systemd. `user` is the user of a service of the system.
    fn service(&self, planned: &ScheduledRule, user: Option<&str>) -> String {
        // systemd itself starts nothing with such a name, and expands nothing in it.
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ' ');
        let starter = (!self.words[0].chars().all(plain)).then(|| "/usr/bin/env".to_owned());
        let words: Vec<String> =
            starter.into_iter().chain(self.words.iter().map(|word| quoted(word))).collect();
        let variables = self.variables.iter().map(|(name, value)| {
            format!("Environment={}\n", quoted(&format!("{name}={value}")).replace("$$", "$"))
        });
        let user = user.map(|user| format!("User={user}\n")).unwrap_or_default();
        format!(
            "[Unit]\nDescription=Backup of {}: {} with {}\nWants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\nType=oneshot\n{user}{}ExecStart={}\nNice=10\nNoNewPrivileges=true\n",
            planned.database,
            planned.kind,
            planned.tool.as_str().replace('%', "%%"),
            variables.collect::<String>(),
            words.join(" "),
        )
    }
}

/// Returns the text of a timer of systemd for a schedule.
fn timer(planned: &ScheduledRule) -> String {
    let zone = planned.zone;
    let calendar: String =
        planned.rule.cron.on_calendar().iter().map(|at| format!("OnCalendar={at} {zone}\n")).collect();
    let jitter = match planned.rule.jitter.as_secs() {
        0 => String::new(),
        most => format!("RandomizedDelaySec={most}\nFixedRandomDelay=true\n"),
    };
    format!(
        "[Unit]\nDescription=Time for a backup of {}\n\n[Timer]\n{calendar}AccuracySec=1s\n{jitter}Persistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        planned.database
    )
}

/// Returns the units of all schedules: the name of each file and its text. Fails if `invocation` fails.
pub fn units<E>(
    planned: &[ScheduledRule],
    user: Option<&str>,
    invocation: impl Fn(&ScheduledRule) -> Result<Invocation, E>,
) -> Result<Vec<(String, String)>, E> {
    let mut units = Vec::new();
    for (at, it) in planned.iter().enumerate() {
        let number = planned[..at].iter().filter(|other| other.database == it.database).count() + 1;
        let name = format!("git-pggit-{}-{number}", it.database);
        units.push((format!("{name}.service"), invocation(it)?.service(it, user)));
        units.push((format!("{name}.timer"), timer(it)));
    }
    Ok(units)
}

/// One word of a command line as systemd reads it: no variables, no specifiers,
/// no end of the line.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
