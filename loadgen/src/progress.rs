//! The progress line of a phase on stderr: a bar on a terminal, one line when the phase is over elsewhere.
//!
//! Invariant: stdout carries results only.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The line of one phase.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    name: String,
    began: Instant,
}

impl Progress {
    /// Begins the line of a phase of `steps` steps; 0 if they cannot be counted.
    pub(crate) fn begin(system: &str, phase: &str, steps: u64) -> Self {
        let name = format!("{system}: {phase}");
        let bar = if steps == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(steps) };
        let style = if steps == 0 { "{msg} {spinner}" } else { "{msg} {wide_bar} {human_pos}/{human_len}" };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(name.clone());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, name, began: Instant::now() }
    }

    /// So many steps are done.
    pub(crate) fn set(&self, steps: u64) {
        self.bar.set_position(steps);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        if !std::io::stderr().is_terminal() {
            eprintln!("{} ({seconds:.1} s)", self.name);
        }
    }
}
