//! Draws the executor's events: bars on a terminal, plain lines elsewhere, JSON on request.

use crate::arguments::{Global, LogFormat};
use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;
use websessions_core::run::{Event, Listener};

/// The listener that fits these flags and this terminal.
pub(crate) fn listener(global: &Global) -> Box<dyn Listener> {
    match global.log_format {
        LogFormat::Json => Box::new(Json),
        LogFormat::Text if global.quiet => Box::new(Quiet),
        LogFormat::Text if std::io::stderr().is_terminal() => Box::new(Bar::new()),
        LogFormat::Text => Box::new(Lines),
    }
}

/// Passes events on, and remembers what runs.
pub(crate) struct Remembering {
    listener: Box<dyn Listener>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    running: Vec<String>,
    last_done: Option<String>,
}

impl Remembering {
    pub(crate) fn new(listener: Box<dyn Listener>) -> Self {
        Self { listener, seen: Mutex::default() }
    }

    /// What was sent and has not ended.
    pub(crate) fn running(&self) -> Vec<String> {
        self.seen().running.clone()
    }

    /// What ended last.
    pub(crate) fn last_done(&self) -> Option<String> {
        self.seen().last_done.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Listener for Remembering {
    fn on(&self, event: &Event) {
        match event {
            Event::UnitStarted { plan, step, unit, .. } => self.seen().running.push(format!("{plan}/{step}: {unit}")),
            Event::UnitFinished { plan, step, unit, .. } => {
                let done = format!("{plan}/{step}: {unit}");
                let mut seen = self.seen();
                seen.running.retain(|running| *running != done);
                seen.last_done = Some(done);
            }
            Event::Retrying { unit, .. } => {
                self.seen().running.retain(|running| !running.ends_with(&format!(": {unit}")));
            }
            _ => {}
        }
        self.listener.on(event);
    }
}

struct Json;

impl Listener for Json {
    fn on(&self, event: &Event) {
        output::event(event);
    }
}

struct Quiet;

impl Listener for Quiet {
    fn on(&self, event: &Event) {
        if let Event::Warning { message } = event {
            output::warn(message);
        }
    }
}

struct Lines;

impl Listener for Lines {
    fn on(&self, event: &Event) {
        if let Some(line) = line(event) {
            output::talk(&line);
        }
    }
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::StepFinished { plan, step, seconds } => Some(format!("{plan}/{step} done in {seconds:.2} s")),
        // Scripts of a user's own are few, and may run beside each other.
        Event::UnitFinished { plan, step, unit, seconds, script: true, .. } => {
            Some(format!("{plan}/{step}: {unit} done in {seconds:.2} s"))
        }
        Event::Retrying { unit, error, seconds } => Some(format!("{unit} failed, again in {seconds:.1} s: {error}")),
        Event::Warning { message } => Some(format!("warning: {message}")),
        Event::Cancelling => Some("stopping; press Ctrl-C again to leave at once".to_owned()),
        _ => None,
    }
}

/// A bar of the plan that runs; of a file, while it is loaded.
struct Bar {
    bar: ProgressBar,
    plan: Mutex<Option<Plan>>,
}

/// How far a plan is.
struct Plan {
    name: String,
    units: u64,
    done: u64,
    step: String,
}

impl Bar {
    fn new() -> Self {
        Self { bar: ProgressBar::hidden(), plan: Mutex::default() }
    }

    fn draw(&self, plan: &Plan) {
        begin(&self.bar, &plan.name, "{spinner} {prefix} [{bar:24}] {pos}/{len} {msg}");
        self.bar.set_length(plan.units);
        self.bar.set_position(plan.done);
        self.bar.set_message(plan.step.clone());
    }
}

impl Listener for Bar {
    fn on(&self, event: &Event) {
        let bar = &self.bar;
        let mut plan = self.plan.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Loading { position } => {
                if bar.prefix() != position.file {
                    begin(
                        bar,
                        &position.file,
                        match position.total {
                            Some(_) => "{spinner} {prefix} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec}",
                            None => "{spinner} {prefix} {bytes} {bytes_per_sec}",
                        },
                    );
                }
                if let Some(total) = position.total {
                    bar.set_length(total);
                }
                bar.set_position(position.bytes);
            }
            Event::Loaded { .. } => match &*plan {
                // A step of a plan loaded them.
                Some(plan) => self.draw(plan),
                None => bar.finish_and_clear(),
            },
            Event::PlanStarted { plan: name, units, .. } => {
                let begun = Plan { name: name.clone(), units: *units as u64, done: 0, step: String::new() };
                self.draw(plan.insert(begun));
            }
            Event::StepStarted { purpose, .. } => {
                bar.set_message(purpose.clone());
                if let Some(plan) = &mut *plan {
                    plan.step.clone_from(purpose);
                }
            }
            Event::UnitFinished { .. } => {
                bar.inc(1);
                if let Some(plan) = &mut *plan {
                    plan.done += 1;
                }
            }
            Event::PlanFinished { .. } | Event::RunFinished { .. } => {
                *plan = None;
                bar.finish_and_clear();
            }
            _ => {}
        }
        if let Some(line) = line(event) {
            bar.suspend(|| output::talk(&line));
        }
    }
}

fn begin(bar: &ProgressBar, what: &str, template: &str) {
    // A new target doesn't know what was drawn before.
    bar.finish_and_clear();
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    bar.reset();
    bar.set_prefix(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(120));
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
