//! How a schedule is written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Cron, Zone};
use crate::domain::{BackupType, DatabaseName, Invalid, Line, Timestamp, parse_duration, words};

words! {
    /// A schedule with a name.
    Preset("schedule") {
        /// Every night.
        Daily = "daily",
        /// Every Sunday.
        Weekly = "weekly",
        /// The first of every month.
        Monthly = "monthly",
        /// The first of January, April, July and October.
        Quarterly = "quarterly",
        /// A dump every night, and a copy of the whole server every Sunday.
        Hybrid = "hybrid",
    }
}

impl Preset {
    /// What copies the whole server, unless `tool=` names something else.
    const BASE_TOOL: &'static str = "pg_basebackup";

    /// The expressions it stands for, with the tools that it names.
    fn rules(self) -> &'static [(&'static str, Option<&'static str>)] {
        match self {
            Self::Daily => &[("0 2 * * *", None)],
            Self::Weekly => &[("0 3 * * 0", None)],
            Self::Monthly => &[("0 4 1 * *", None)],
            Self::Quarterly => &[("0 5 1 1,4,7,10 *", None)],
            Self::Hybrid => &[("0 2 * * *", Some("pg_dump")), ("0 3 * * 0", Some(Self::BASE_TOOL))],
        }
    }
}

/// How far runs of presets are moved at most, unless they say it themselves: a
/// preset says that the exact time does not matter.
const PRESET_JITTER: Duration = Duration::from_secs(30 * 60);
/// Jitter of more than a day would be another schedule.
const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Nobody writes more than this by hand.
const TEXT_BYTES_MAX: usize = 500;

/// One value of `pggit.<database>.schedule`: `daily`, `30 2 * * mon-fri`, with
/// ` tool=<tool>`, ` type=<type>` and ` jitter=<duration>` behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    rules: Vec<Rule>,
}

/// When something runs, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// When.
    pub cron: Cron,
    /// The name, if it is a preset.
    pub preset: Option<Preset>,
    /// The tool, if it is not the one of the database.
    pub tool: Option<Line>,
    /// The type of backup, if it is not the one of the database.
    pub kind: Option<BackupType>,
    /// How far a run may be moved.
    pub jitter: Duration,
}

impl Schedule {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it consists of; one rule, except for the preset `hybrid`.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Rule {
    /// The first run for `database` after `after`.
    pub fn next(&self, database: &DatabaseName, zone: Zone, after: Timestamp) -> Option<Timestamp> {
        let delay = self.delay(database);
        Some(later(self.cron.next(zone, earlier(after, delay)?)?, delay))
    }

    /// The time on the schedule (without jitter) that the latest run until `now`
    /// is for.
    pub fn slot(&self, database: &DatabaseName, zone: Zone, now: Timestamp) -> Option<Timestamp> {
        self.cron.latest(zone, earlier(now, self.delay(database))?)
    }

    /// How far runs for `database` are moved: always the same, in whole seconds.
    pub fn delay(&self, database: &DatabaseName) -> Duration {
        match self.jitter.as_secs() {
            0 => Duration::ZERO,
            most => Duration::from_secs(fingerprint(&[database.as_str(), self.cron.as_str()]) % most),
        }
    }

    /// A short name that stays while the rule does, for the keys of jobs.
    pub fn key(&self) -> String {
        let tool = self.tool.as_ref().map_or("", Line::as_str);
        let kind = self.kind.map_or("", BackupType::as_str);
        format!("{:016x}", fingerprint(&[self.cron.as_str(), tool, kind]))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.preset {
            Some(preset) => f.write_str(preset.as_str())?,
            None => f.write_str(self.cron.as_str())?,
        }
        if let Some(tool) = &self.tool {
            write!(f, " tool={tool}")?;
        }
        if let Some(kind) = self.kind {
            write!(f, " type={kind}")?;
        }
        Ok(())
    }
}

fn later(at: Timestamp, delay: Duration) -> Timestamp {
    Timestamp::from(at.as_datetime() + delay)
}

fn earlier(at: Timestamp, delay: Duration) -> Option<Timestamp> {
    let delay = chrono::Duration::from_std(delay).ok()?;
    at.as_datetime().checked_sub_signed(delay).map(Timestamp::from)
}

/// FNV-1a: it has to be the same on every machine and in every version, and
/// nobody gains anything from choosing it.
fn fingerprint(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes have hardly reached the upper bits, and a remainder sees mostly the lower ones.
    hash ^ (hash >> 32)
}

impl FromStr for Schedule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |reason: &str| Invalid::new("schedule", text, reason);
        if text.len() > TEXT_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let first_option = words.iter().position(|word| word.contains('=')).unwrap_or(words.len());
        let (when, options) = words.split_at(first_option);
        let options = Options::parse(options, text)?;
        let rule = |cron: &str, preset: Option<Preset>, tool: Option<&str>| {
            Ok::<_, Invalid>(Rule {
                cron: cron.parse()?,
                preset,
                tool: match tool {
                    Some(tool) if tool != Preset::BASE_TOOL => Some(Line::lossy(tool)),
                    tool => options.tool.clone().or_else(|| tool.map(Line::lossy)),
                },
                kind: options.kind,
                jitter: options.jitter.unwrap_or(if preset.is_some() {
                    PRESET_JITTER
                } else {
                    Duration::ZERO
                }),
            })
        };
        let rules = match when {
            [] => return Err(refused("it does not say when")),
            [name] => {
                let preset: Preset = name.parse().map_err(|Invalid { reason, .. }| {
                    refused(&format!("{reason}, or the five fields of a cron expression"))
                })?;
                if preset == Preset::Hybrid && options.kind.is_some() {
                    return Err(refused("both backups of hybrid are full ones"));
                }
                let rules = preset.rules().iter();
                rules.map(|(cron, tool)| rule(cron, Some(preset), *tool)).collect::<Result<_, _>>()?
            }
            fields => vec![rule(&fields.join(" "), None, None)?],
        };
        Ok(Self { text: words.join(" "), rules })
    }
}

/// What stands behind the time.
#[derive(Default)]
struct Options {
    tool: Option<Line>,
    kind: Option<BackupType>,
    jitter: Option<Duration>,
}

impl Options {
    fn parse(words: &[&str], text: &str) -> Result<Self, Invalid> {
        let refused = |reason: String| Invalid::new("schedule", text, reason);
        let mut options = Self::default();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let twice = match name {
                "tool" if !value.is_empty() => options.tool.replace(value.parse()?).is_some(),
                "type" => options.kind.replace(value.parse()?).is_some(),
                "jitter" => {
                    let jitter = parse_duration(value)
                        .map_err(|expected| refused(format!("jitter is {value:?}: {expected}")))?;
                    if jitter > JITTER_MAX {
                        return Err(refused(format!("jitter is a duration of up to 1d, not {value:?}")));
                    }
                    options.jitter.replace(jitter).is_some()
                }
                _ => {
                    let reason = format!("{word:?} is none of tool=..., type=... and jitter=...");
                    return Err(refused(reason));
                }
            };
            if twice {
                return Err(refused(format!("it says {name} twice")));
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    #[test]
    fn presets_and_expressions_are_told_apart() {
        assert_eq!(schedule("daily").rules()[0].cron.as_str(), "0 2 * * *");
        assert_eq!(schedule("quarterly").rules()[0].cron.as_str(), "0 5 1 1,4,7,10 *");
        let tools: Vec<_> =
            schedule("hybrid").rules().iter().map(|rule| rule.tool.clone().unwrap()).collect();
        assert_eq!(tools, [Line::lossy("pg_dump"), Line::lossy("pg_basebackup")]);
        let tools =
            schedule("hybrid tool=barman").rules().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(tools, ["hybrid tool=pg_dump", "hybrid tool=barman"]);
        let written = schedule("  30 2 * *  mon-fri tool=pg_dump type=full jitter=5m ");
        let rule = &written.rules()[0];
        assert_eq!(rule.to_string(), "30 2 * * mon-fri tool=pg_dump type=full");
        assert_eq!(rule.jitter, Duration::from_secs(300));
        assert_eq!(schedule("0 2 * * *").rules()[0].jitter, Duration::ZERO);
        assert_eq!(schedule("daily jitter=0").rules()[0].jitter, Duration::ZERO);
        assert_eq!(schedule("weekly jitter=1d").rules()[0].jitter, Duration::from_secs(86_400));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for (text, reason) in [
            ("", "does not say when"),
            ("tool=pg_dump", "does not say when"),
            ("nightly", "expected one of daily, weekly, monthly, quarterly, hybrid"),
            ("daily tool=", "none of tool"),
            ("daily tool=a tool=b", "tool twice"),
            ("daily type=half", "expected one of full"),
            ("daily jitter=25h", "up to 1d"),
            ("daily jitter=2d", "up to 1d"),
            ("daily jitter=99999999999999999999h", "s, m, h, d or w"),
            ("daily jitter=", "s, m, h, d or w"),
            ("daily jitter=5", "s, m, h, d or w"),
            ("daily kind=full", "none of tool"),
            ("daily tool=pg_dump daily", "none of tool"),
            ("daily daily", "five fields"),
            ("hybrid type=full", "hybrid are full"),
            (&"9".repeat(501), "too long"),
        ] {
            let refused = text.parse::<Schedule>().unwrap_err();
            assert!(refused.reason.contains(reason), "{text:?}: {refused}");
        }
    }

    #[test]
    fn jitter_is_different_for_databases_and_always_the_same() {
        let written = schedule("daily jitter=1h");
        let rule = &written.rules()[0];
        let name = |text: &str| text.parse::<DatabaseName>().unwrap();
        // Written into documents and into the minds of people: it must not change.
        assert_eq!(rule.delay(&name("shop")), Duration::from_secs(702));
        let mut delays: Vec<u64> =
            (0..200).map(|n| rule.delay(&name(&format!("db{n}"))).as_secs() / 360).collect();
        delays.sort_unstable();
        delays.dedup();
        assert_eq!(delays.len(), 10, "they are spread over the whole hour");
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let next = rule.next(&name("shop"), Zone::UTC, now).unwrap();
        assert_eq!(next.to_string(), "2026-11-22T02:11:42.000000Z");
        let slot = |now: &str| rule.slot(&name("shop"), Zone::UTC, now.parse().unwrap()).unwrap().to_string();
        assert_eq!(slot("2026-11-22T02:11:42Z"), "2026-11-22T02:00:00.000000Z");
        assert_eq!(slot("2026-11-22T02:11:41Z"), "2026-11-21T02:00:00.000000Z");
    }
}
