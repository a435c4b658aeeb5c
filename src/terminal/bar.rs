//! Progress bars on a terminal; none on other outputs.

use std::borrow::Cow;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Ui;
use super::text::sanitised_line;
use crate::progress::{Progress, Quiet};

const SIZED: &str = "{msg}  [{bar:30}] {percent}% {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const UNSIZED: &str = "{msg}  {spinner} {bytes}, {bytes_per_sec}, {elapsed}";

/// Frequency in hertz at which the terminal is redrawn.
const DRAWS_HZ: u8 = 10;

/// A progress bar on the user's terminal, removed when it is dropped.
struct Bar {
    ui: Arc<Ui>,
    bar: ProgressBar,
}

/// Returns the progress for long work: a bar if standard error is a terminal and shows messages.
pub fn progress(ui: &Arc<Ui>) -> Arc<dyn Progress> {
    if !ui.wants_progress() {
        return Arc::new(Quiet);
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS_HZ));
    ui.set_bar(Some(bar.clone()));
    Arc::new(Bar { ui: Arc::clone(ui), bar })
}

impl Progress for Bar {
    fn stage(&self, name: &str, expected_bytes: Option<u64>) {
        let template = if expected_bytes.is_some() { SIZED } else { UNSIZED };
        let style =
            ProgressStyle::with_template(template).expect("the templates are constants that a test parses");
        self.bar.reset();
        self.bar.set_style(style.progress_chars("=> "));
        match expected_bytes {
            Some(bytes) => self.bar.set_length(bytes),
            None => self.bar.unset_length(),
        }
        self.bar.set_message(Cow::Owned(sanitised_line(name).into_owned()));
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.ui.set_bar(None);
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{OutputOptions, Terminal};

    #[test]
    fn the_templates_are_valid() {
        for template in [SIZED, UNSIZED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn nothing_moves_where_nobody_looks() {
        let (ui, out, err) = Ui::captured(Terminal::default(), OutputOptions::default(), &Default::default());
        let ui = Arc::new(ui);
        let progress = progress(&ui);
        progress.stage("dump", Some(10));
        progress.advance(10);
        assert_eq!(out.text() + &err.text(), "");
    }
}
