//! What to do about an error, in this command line's words.

use crate::output::STANDARD_OUTPUT;
use websessions_core::error::{Error, Remedy, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::{Phase, Statement};
use websessions_core::run::Report;

/// The command that helps, where there is one; else what the error itself says.
pub(crate) fn hint(error: &Error, report: Option<&Report>) -> Option<String> {
    if report.is_some_and(Report::commit_is_unknown) {
        let first = of(error).map(|hint| format!("{hint}; ")).unwrap_or_default();
        return Some(format!(
            "{first}if production was changed, 'websessions export datamodel_metadata --to -' has a row of this run; the same command again is right either way: every step of the model can run twice"
        ));
    }
    of(error)
}

/// What to do about tables of the configured modules, or of one that is not, that differ from the model's: what adds the columns
/// that they lack, and whether that leaves differences.
pub(crate) fn drift(additions: &[Statement], leaves: bool, module: Option<&str>) -> String {
    const OTHERS: &str = "'websessions migrate' changes no type and drops nothing: declare a column of your own as [[column]], or move it to a table of your own; alter another type yourself ('websessions columns TABLE' lists the model's); or set entropy to build beside these tables";
    if additions.is_empty() {
        return OTHERS.to_owned();
    }
    let module = module.map(|module| format!(" --module {module}")).unwrap_or_default();
    let statements: String = additions.iter().map(|addition| format!("\n{};", addition.sql)).collect();
    let others = if leaves { format!("\n{OTHERS}") } else { String::new() };
    format!(
        "nothing was changed; 'websessions migrate{module}' asks, and then adds all that is missing ('websessions plan migrate{module}' prints it), as here by{statements}{others}"
    )
}

/// Whether a statement may have failed by what it computes.
pub(crate) fn may_be_of_a_value(error: &WarehouseError) -> bool {
    use WarehouseErrorKind::{Data, Missing, Other};
    error.hint.is_none() && matches!(error.kind, Data | Missing | Other)
}

/// What to do where a statement failed that computes columns of one's own, which these words tell.
pub(crate) fn own_columns(columns: &[String]) -> String {
    format!(
        "this computes what the configuration declares as [[column]]: {}; where a value of one can't be computed, mend its sql: TRY_CAST(… AS …) gives NULL for what is no such value (on BigQuery SAFE_CAST; on Postgres a CASE around the CAST), and its functions must be the warehouse's; then run again with the same flags",
        columns.join("; ")
    )
}

fn of(error: &Error) -> Option<String> {
    let words = match error {
        Error::Drift { additions, leaves, .. } => return Some(drift(additions, *leaves, None)),
        Error::MissingInput { .. } => {
            "run the page views module first, load files with 'websessions load', or check the schemas and entropy"
        }
        Error::Warehouse { source, .. } if source.kind == WarehouseErrorKind::Unsupported && source.hint.is_none() => {
            "'websessions plan' without --estimate prints the SQL"
        }
        Error::Usage { remedy, .. } => match remedy {
            Remedy::DestroyByPlaybook => "run it through 'websessions destroy --playbook FILE'",
            Remedy::DestroyByJobList => {
                "a job list whose playbooks all destroy runs through 'websessions destroy --config-json FILE'"
            }
            Remedy::NameOnePlaybook => "keep one of them, or name one with --playbook",
            Remedy::NameTheFolderOfSql => "--sqlroot names the folder that the files of queries are in",
            _ => return None,
        },
        Error::NoResume { .. } => {
            "'websessions resume' takes the flags of the run that failed, its --page-views too; or run the whole again, as it was: every step of the model can run twice"
        }
        Error::LoadUnknown { into, .. } => {
            return Some(format!(
                "look in {} ('websessions export {} --to -'): if the files' page views are there, go on; if not, load again; loaded twice they are staged twice",
                into.table, into.name
            ));
        }
        Error::Locked { .. } => {
            "wait for it to end, as --wait SECONDS does; a dead run's lock expires by itself, and 'websessions unlock' clears it at once"
        }
        Error::File { path, .. } if path == STANDARD_OUTPUT => {
            "only the answer was lost; what the command does is done"
        }
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "the disk is full: make room, then do it again"
        }
        Error::Unit { place, source, .. }
            if source.kind == WarehouseErrorKind::Missing
                && source.hint.is_none()
                && place.of == Some(Phase::Complete)
                && place.file.is_none() =>
        {
            "a table of this run, or production, was dropped or altered after main: 'websessions run' makes what is missing, and computes the sessions that are still staged; earlier ones come back when their page views are staged again, as by 'websessions rebuild --from DATE'"
        }
        Error::Unit { source, .. } if source.kind == WarehouseErrorKind::Permission => {
            let hint = error.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
            return Some(format!("{hint}'websessions doctor' checks privileges"));
        }
        other => return other.hint(),
    };
    Some(words.to_owned())
}
