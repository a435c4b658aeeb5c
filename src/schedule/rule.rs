//! Parses schedules.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Cron, Zone};
use crate::domain::{BackupType, DatabaseName, Invalid, Line, Timestamp, named_enum, parse_duration};

named_enum! {
    /// A predefined schedule.
    Preset("schedule") {
        /// Every night.
        Daily = "daily",
        /// Every Sunday.
        Weekly = "weekly",
        /// The first of every month.
        Monthly = "monthly",
        /// The first of January, April, July and October.
        Quarterly = "quarterly",
        /// A dump every night, and a physical backup every Sunday.
        Hybrid = "hybrid",
    }
}

impl Preset {
    /// The tool for physical backups, unless `tool=` names another one.
    const BASE_TOOL: &'static str = "pg_basebackup";

    /// Returns the cron expressions of the preset, with the tools that it prescribes.
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

/// The default jitter of presets: with a preset the exact time does not matter.
const PRESET_JITTER: Duration = Duration::from_secs(30 * 60);
/// The maximum jitter. More than a day would be another schedule.
const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// The maximum length of a schedule in bytes, more than people write by hand.
const TEXT_BYTES_MAX: usize = 500;

/// One value of `pggit.<database>.schedule`: `daily` or `30 2 * * mon-fri`, followed by the options
/// ` tool=<tool>`, ` type=<type>` and ` jitter=<duration>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    rules: Vec<ScheduleRule>,
}

/// One time of a schedule, with the backup to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRule {
    /// The times.
    pub cron: Cron,
    /// The preset that the rule is from, if any.
    pub preset: Option<Preset>,
    /// The tool; `None` for the tool of the database.
    pub tool: Option<Line>,
    /// The type of backup; `None` for that of the database.
    pub kind: Option<BackupType>,
    /// The upper limit of the delay.
    pub jitter: Duration,
}

impl Schedule {
    /// Returns the text of the schedule, with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the rules: one, or two for the preset `hybrid`.
    pub fn rules(&self) -> &[ScheduleRule] {
        &self.rules
    }
}

impl ScheduleRule {
    /// Returns the time of the first run for `database` after `after`, with jitter.
    pub fn next(&self, database: &DatabaseName, zone: Zone, after: Timestamp) -> Option<Timestamp> {
        let delay = self.delay(database);
        Some(later(self.cron.next(zone, earlier(after, delay)?)?, delay))
    }

    /// Returns the scheduled time (without jitter) of the latest run until `now`.
    pub fn slot(&self, database: &DatabaseName, zone: Zone, now: Timestamp) -> Option<Timestamp> {
        self.cron.latest(zone, earlier(now, self.delay(database))?)
    }

    /// Returns the delay of the runs for `database`. It is constant, and in whole seconds.
    pub fn delay(&self, database: &DatabaseName) -> Duration {
        match self.jitter.as_secs() {
            0 => Duration::ZERO,
            most => Duration::from_secs(fingerprint(&[database.as_str(), self.cron.as_str()]) % most),
        }
    }

    /// Returns a short stable name of the rule, for the deduplication keys of jobs.
    pub fn key(&self) -> String {
        let tool = self.tool.as_ref().map_or("", Line::as_str);
        let kind = self.kind.map_or("", BackupType::as_str);
        format!("{:016x}", fingerprint(&[self.cron.as_str(), tool, kind]))
    }
}

impl fmt::Display for ScheduleRule {
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

/// Returns the FNV-1a hash. It must be the same on every host and in every version. It need not resist
/// attacks.
fn fingerprint(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Mix the upper bits into the lower ones, on which a remainder mostly depends.
    hash ^ (hash >> 32)
}

impl FromStr for Schedule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |reason: &str| Invalid::new("schedule", text, reason);
        if text.len() > TEXT_BYTES_MAX {
            return Err(refused(&format!("longer than {TEXT_BYTES_MAX} bytes")));
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let first_option = words.iter().position(|word| word.contains('=')).unwrap_or(words.len());
        let (when, options) = words.split_at(first_option);
        let options = Options::parse(options, text)?;
        let rule = |cron: &str, preset: Option<Preset>, tool: Option<&str>| {
            Ok::<_, Invalid>(ScheduleRule {
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
            [] => return Err(refused("the time is missing")),
            [name] => {
                let preset: Preset = name.parse().map_err(|Invalid { reason, .. }| {
                    refused(&format!("{reason}, or the five fields of a cron expression"))
                })?;
                if preset == Preset::Hybrid && options.kind.is_some() {
                    return Err(refused("both backups of hybrid are full backups"));
                }
                let rules = preset.rules().iter();
                rules.map(|(cron, tool)| rule(cron, Some(preset), *tool)).collect::<Result<_, _>>()?
            }
            fields => vec![rule(&fields.join(" "), None, None)?],
        };
        Ok(Self { text: words.join(" "), rules })
    }
}

/// The options after the time.
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
                    let reason =
                        format!("{word:?} is not an option; expected tool=..., type=... or jitter=...");
                    return Err(refused(reason));
                }
            };
            if twice {
                return Err(refused(format!("{name} is given twice")));
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
    fn presets_and_expressions_are_parsed() {
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
    fn an_invalid_schedule_is_refused() {
        for (text, reason) in [
            ("", "the time is missing"),
            ("tool=pg_dump", "the time is missing"),
            ("nightly", "expected one of daily, weekly, monthly, quarterly, hybrid"),
            ("daily tool=", "is not an option"),
            ("daily tool=a tool=b", "tool is given twice"),
            ("daily type=half", "expected one of full"),
            ("daily jitter=25h", "up to 1d"),
            ("daily jitter=2d", "up to 1d"),
            ("daily jitter=99999999999999999999h", "s, m, h, d or w"),
            ("daily jitter=", "s, m, h, d or w"),
            ("daily jitter=5", "s, m, h, d or w"),
            ("daily kind=full", "is not an option"),
            ("daily tool=pg_dump daily", "is not an option"),
            ("daily daily", "five fields"),
            ("hybrid type=full", "hybrid are full"),
            (&"9".repeat(501), "longer than 500 bytes"),
        ] {
            let refused = text.parse::<Schedule>().unwrap_err();
            assert!(refused.reason.contains(reason), "{text:?}: {refused}");
        }
    }

    #[test]
    fn jitter_differs_between_databases_and_is_constant() {
        let written = schedule("daily jitter=1h");
        let rule = &written.rules()[0];
        let name = |text: &str| text.parse::<DatabaseName>().unwrap();
        // The value is documented, and people rely on it: it must not change.
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
