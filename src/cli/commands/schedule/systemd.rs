//! `git pggit schedule systemd`

use std::fs;
use std::path::PathBuf;

use super::{Run, planned, run_of};
use crate::automation::ScheduledRule;
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::schedule::SystemdUnits;

/// Print units for systemd that make the backups, for those who do without the worker
///
/// A timer and a service for each schedule. They are printed one after the
/// other, or written with --dir. A run that was missed because the machine was
/// off is made up for (Persistent=). With --dir the files are put in place;
/// 'systemctl enable --now' and the names of the timers do the rest.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Write the units into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The user that the services run as; for units of the system
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// The program that is run; by default this one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule systemd
    git pggit schedule systemd --dir ~/.config/systemd/user
    sudo git pggit schedule systemd --user backup --dir /etc/systemd/system";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    if let Some(user) = &args.user
        && !user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        return Err(Failure::new(Code::Usage, format!("'{user}' is not the name of a user")));
    }
    let mut units = Vec::new();
    for (at, it) in planned.iter().enumerate() {
        let number = planned[..at].iter().filter(|other| other.database == it.database).count() + 1;
        let name = format!("git-pggit-{}-{number}", it.database);
        let run = run_of(it, args.program.as_deref(), context)?;
        units.push((format!("{name}.service"), service(it, &run, args.user.as_deref())));
        units.push((format!("{name}.timer"), timer(it)));
    }
    match &args.dir {
        None => print(&units, context),
        Some(dir) => {
            for (name, text) in &units {
                let file = dir.join(name);
                fs::write(&file, text).map_err(|error| {
                    let message = format!("cannot write {}", file.display());
                    Failure::new(Code::Destination, message).cause(error.to_string())
                })?;
                context.ui.status(&format!("wrote {}", file.display()));
            }
            Ok(())
        }
    }
}

fn print(units: &[(String, String)], context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&SystemdUnits { units: units.iter().cloned().collect() })?);
    }
    for (at, (name, text)) in units.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        context.ui.raw(format!("{gap}# {name}\n{text}").as_bytes())?;
    }
    Ok(())
}

fn service(it: &ScheduledRule, run: &Run, user: Option<&str>) -> String {
    // systemd itself starts nothing with such a name, and expands nothing in it.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ' ');
    let starter = (!run.words[0].chars().all(plain)).then(|| "/usr/bin/env".to_owned());
    let words: Vec<String> = starter.into_iter().chain(run.words.iter().map(|word| quoted(word))).collect();
    let variables = run.variables.iter().map(|(name, value)| {
        format!("Environment={}\n", quoted(&format!("{name}={value}")).replace("$$", "$"))
    });
    let user = user.map(|user| format!("User={user}\n")).unwrap_or_default();
    format!(
        "[Unit]\nDescription=Backup of {}: {} with {}\nWants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nType=oneshot\n{user}{}ExecStart={}\nNice=10\nNoNewPrivileges=true\n",
        it.database,
        it.kind,
        it.tool.as_str().replace('%', "%%"),
        variables.collect::<String>(),
        words.join(" "),
    )
}

fn timer(it: &ScheduledRule) -> String {
    let calendar: String =
        it.rule.cron.on_calendar().iter().map(|at| format!("OnCalendar={at} {}\n", it.zone)).collect();
    let jitter = match it.rule.jitter.as_secs() {
        0 => String::new(),
        most => format!("RandomizedDelaySec={most}\nFixedRandomDelay=true\n"),
    };
    format!(
        "[Unit]\nDescription=Time for a backup of {}\n\n[Timer]\n{calendar}AccuracySec=1s\n{jitter}Persistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        it.database
    )
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
