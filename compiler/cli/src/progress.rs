//! Progress of the stages of a command: on a terminal, a moving line for the stage that runs and one
//! line with the time of each that has ended; silent in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The stages of one command, shown on standard error.
pub struct Stages {
    bar: ProgressBar,
    shown: bool,
    current: Mutex<Option<(String, Instant)>>,
}

impl Stages {
    /// No stage as yet.
    pub fn new() -> Stages {
        let shown = std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        Stages { bar, shown, current: Mutex::new(None) }
    }

    /// Ends the stage that runs, if any, and begins `name`, of that many steps (0: not known).
    pub fn begin(&self, name: &str, steps: u64) {
        self.end();
        if !self.shown {
            return;
        }
        self.style("{spinner} {msg:<40} {elapsed:>4}");
        self.bar.reset();
        self.bar.unset_length();
        if steps > 0 {
            self.at(0, steps);
        }
        self.bar.set_message(name.to_string());
        self.bar.enable_steady_tick(Duration::from_millis(100));
        if let Ok(mut current) = self.current.lock() {
            *current = Some((name.to_string(), Instant::now()));
        }
    }

    /// So many steps of the stage are done.
    pub fn at(&self, done: u64, of: u64) {
        if self.bar.length() != Some(of) {
            self.bar.set_length(of);
            self.style("{spinner} {msg:<40} {elapsed:>4} {wide_bar} {pos}/{len}");
        }
        self.bar.set_position(done);
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    /// One more step of the stage is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    fn end(&self) {
        let Some((name, start)) = self.current.lock().ok().and_then(|mut c| c.take()) else {
            return;
        };
        self.bar.disable_steady_tick();
        self.bar.println(format!("  {name:<40} {:7.2} s", start.elapsed().as_secs_f64()));
    }
}

impl Drop for Stages {
    fn drop(&mut self) {
        self.end();
        self.bar.finish_and_clear();
    }
}

impl pimc_quantize::Progress for Stages {
    fn begin(&self, stage: &str, steps: u64) {
        Stages::begin(self, stage, steps);
    }

    fn step(&self) {
        Stages::step(self);
    }
}

impl pimc_cosim::Progress for Stages {
    fn stage(&self, what: &str) {
        self.begin(what, 0);
    }

    fn vectors(&self, done: usize, of: usize) {
        self.at(done as u64, of as u64);
    }
}
