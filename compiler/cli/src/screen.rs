//! Standard output and standard error. A reader that goes away (`pimc ... | head`) is no error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Writes to standard output; what a closed pipe does not take is dropped.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub fn complain(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Whether messages may be coloured.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Progress of the stages of a command: on a terminal, one line per stage with its time; silent in
/// a pipe.
pub struct Stages {
    bar: ProgressBar,
    shown: bool,
    current: std::sync::Mutex<Option<(String, Instant)>>,
}

impl Stages {
    /// Progress on standard error, if that is a terminal.
    pub fn new() -> Stages {
        let shown = std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        Stages { bar, shown, current: std::sync::Mutex::new(None) }
    }

    /// Ends the stage that runs, if any, and begins `name`, of `steps` steps if that is known.
    pub fn begin(&self, name: &str, steps: Option<u64>) {
        self.end();
        if !self.shown {
            return;
        }
        let template = match steps {
            Some(_) => "{spinner} {msg} {wide_bar} {pos}/{len} {elapsed}",
            None => "{spinner} {msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        match steps {
            Some(n) => self.bar.set_length(n),
            None => self.bar.unset_length(),
        }
        self.bar.set_message(name.to_string());
        self.bar.enable_steady_tick(Duration::from_millis(100));
        if let Ok(mut current) = self.current.lock() {
            *current = Some((name.to_string(), Instant::now()));
        }
    }

    /// So many steps of the stage are done.
    pub fn at(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// Ends the stage that runs, with its time.
    pub fn end(&self) {
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
