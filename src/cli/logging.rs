//! The log of long-running commands, on standard error: lines for people or, with `--json`, one JSON
//! object in each line.

use tracing_subscriber::filter::LevelFilter;

use super::Context;
use crate::failure::Failure;

/// Starts logging, once per process. Fails if the configuration cannot be read.
pub(crate) fn begin(context: &Context) -> Result<(), Failure> {
    let level = match (context.ui.is_quiet(), context.config()?.log_level().as_str()) {
        (_, "error") => LevelFilter::ERROR,
        (true, _) | (_, "warn") => LevelFilter::WARN,
        (_, "debug") => LevelFilter::DEBUG,
        (_, "trace") => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    begin_at(level, context);
    Ok(())
}

/// Logs only warnings, for a command without its own log.
pub(crate) fn begin_with_warnings(context: &Context) {
    begin_at(LevelFilter::WARN, context);
}

fn begin_at(level: LevelFilter, context: &Context) {
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    // Logging that has already started continues unchanged.
    let _ = match context.ui.wants_json() {
        true => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        false => log.with_ansi(context.ui.color_on_stderr()).try_init(),
    };
}
