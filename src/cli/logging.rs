//! The log of long running commands: lines on standard error, for people or,
//! with `--json`, one JSON object each.

use tracing_subscriber::filter::LevelFilter;

use super::Context;
use crate::failure::Failure;

/// Begins to log, once per process.
pub(crate) fn begin(context: &Context) -> Result<(), Failure> {
    let level = match (context.ui.is_quiet(), context.config()?.log_level()?.as_str()) {
        (_, "error") => LevelFilter::ERROR,
        (true, _) | (_, "warn") => LevelFilter::WARN,
        (_, "debug") => LevelFilter::DEBUG,
        (_, "trace") => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    begin_at(level, context);
    Ok(())
}

/// Prints only warnings, in a command that logs nothing else.
pub(crate) fn begin_with_warnings(context: &Context) {
    begin_at(LevelFilter::WARN, context);
}

fn begin_at(level: LevelFilter, context: &Context) {
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    // Who logs already keeps on logging.
    let _ = match context.ui.wants_json() {
        true => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        false => log.with_ansi(context.ui.color_on_stderr()).try_init(),
    };
}
