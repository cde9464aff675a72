//! Where a run stopped, and from which step on a later one goes on.

use super::job::Job;
use crate::error::Error;
use crate::files::Source;
use crate::lock::{LONGEST_STEP, Note};
use crate::plan::{Plan, Step, digest};

/// The note of a run that stopped at a step: its number among the steps of all jobs.
pub(super) fn note_at(jobs: &[Job], number: usize) -> Option<Note> {
    let (plan, step) = steps(jobs).nth(number)?;
    // A file that has changed since is another one.
    let of_source = |source: &Source| format!("{source} {:?}", source.version());
    let fingerprint = digest(steps(jobs).take(number).map(|(_, step)| step), of_source);
    let step: String = format!("{}/{}", plan.name, step.name).chars().take(LONGEST_STEP).collect();
    Some(Note { step, fingerprint })
}

fn steps(jobs: &[Job]) -> impl Iterator<Item = (&Plan, &Step)> {
    jobs.iter().flat_map(|job| job.plan().steps.iter().map(|step| (job.plan(), step)))
}

/// The number of the step that a note is about.
pub(super) fn resumed_step(jobs: &[Job], note: Option<&Note>) -> Result<usize, Error> {
    let no = |message: String| Error::NoResume { message };
    let note = note.ok_or_else(|| {
        no("no run of these schemas and entropy has failed after its first step since the last one that ended".into())
    })?;
    let numbers = 0..steps(jobs).count();
    let found = numbers.clone().find(|number| note_at(jobs, *number).as_ref() == Some(note));
    found.ok_or_else(|| {
        let known = numbers.filter_map(|number| note_at(jobs, number)).any(|at| at.step == note.step);
        no(if known {
            format!(
                "the last run stopped at {}, and what comes before it is not what it was: the SQL, or a file",
                note.step
            )
        } else {
            format!("the last run stopped at {}, which is no step of this one", note.step)
        })
    })
}
