//! The work that a template asks for, and its bound.

use gotmpl::TemplateError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The work that one rendering may do: bytes that are written or joined, and `STEP` for each action that is run.
const BUDGET: usize = 64 << 20;

/// The work of one action.
pub(super) const STEP: usize = 64;

/// The work of one rendering.
#[derive(Default)]
pub(super) struct Work {
    done: AtomicUsize,
    /// The line of the action that is run.
    pub(super) line: AtomicUsize,
}

impl Work {
    /// Notes some work; refuses it if it is too much in all.
    pub(super) fn charge(&self, amount: usize) -> gotmpl::Result<()> {
        if self.done.fetch_add(amount, Ordering::Relaxed).saturating_add(amount) > BUDGET {
            return Err(too_much());
        }
        Ok(())
    }
}

pub(super) fn too_much() -> TemplateError {
    TemplateError::Exec("the template asks for too much work or text".to_owned())
}
