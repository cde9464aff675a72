//! The trials beyond the recorded scenarios: what this project promises on purpose. A file a subject.

mod arrivals;
mod columns;
mod commit;
mod complete;
mod faults;
mod findings;
mod interleaved;
mod lock;
mod looking;
mod migration;
mod module;
mod page_views;
mod page_views_interleaved;
mod scripts;
mod sql;
mod tables;
mod users;

use crate::Harness;
use std::pin::Pin;

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
pub(crate) type Trial = fn(&dyn Harness) -> Outcome<'_>;

/// Some trials by name.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |harness| Box::pin($name(harness)))),*]
    };
}
use trials;

/// All trials by name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Trial)> {
    [
        arrivals::TRIALS,
        columns::TRIALS,
        commit::TRIALS,
        complete::TRIALS,
        findings::TRIALS,
        tables::TRIALS,
        migration::TRIALS,
        sql::TRIALS,
        module::TRIALS,
        users::TRIALS,
        scripts::TRIALS,
        lock::TRIALS,
        looking::TRIALS,
        interleaved::TRIALS,
        page_views_interleaved::TRIALS,
        faults::TRIALS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
