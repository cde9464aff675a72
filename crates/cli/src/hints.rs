//! What to do about an error, in this command line's words.

use crate::output::{STANDARD_OUTPUT, pasteable};
use websessions_core::error::{Error, Remedy, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::{Phase, Statement};
use websessions_core::run::Report;

/// The command that helps, where there is one; else what the error itself says.
pub(crate) fn hint(error: &Error, report: Option<&Report>) -> Option<String> {
    if report.is_some_and(Report::commit_is_unknown) {
        let first = of(error).map(|hint| format!("{hint}; ")).unwrap_or_default();
        return Some(format!(
            "{first}if production was changed, {} has a row of this run; the same command again is right either way: every step of the model can run twice",
            pasteable("export datamodel_metadata --to -")
        ));
    }
    of(error)
}

/// What to do about tables of the configured modules, or of one that is not, that differ from the model's: what adds the columns
/// that they lack, and whether that leaves differences.
pub(crate) fn drift(additions: &[Statement], leaves: bool, module: Option<&str>) -> String {
    let others = format!(
        "{} changes no type and drops nothing: declare a column of your own as [[column]], or move it to a table of your own; alter another type yourself ({} lists the model's); or set entropy to build beside these tables",
        pasteable("migrate"),
        pasteable("columns TABLE")
    );
    if additions.is_empty() {
        return others;
    }
    let module = module.map(|module| format!(" --module {module}")).unwrap_or_default();
    let statements: String = additions.iter().map(|addition| format!("\n{};", addition.sql)).collect();
    let others = if leaves { format!("\n{others}") } else { String::new() };
    format!(
        "nothing was changed; {} asks, and then adds all that is missing ({} prints it), as here by{statements}{others}",
        pasteable(&format!("migrate{module}")),
        pasteable(&format!("plan migrate{module}"))
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
    Some(match error {
        Error::Drift { additions, leaves, .. } => drift(additions, *leaves, None),
        Error::Source { .. } => format!(
            "nothing was changed; page_views_from under [variables] may name a table or a view, such as one that makes these columns by CAST: {} lists the model's",
            pasteable("columns page_views")
        ),
        Error::MissingInput { .. } => {
            format!(
                "run the page views module first, load files with {}, or check the schemas and entropy",
                pasteable("load")
            )
        }
        Error::Warehouse { source, .. } if source.kind == WarehouseErrorKind::Unsupported && source.hint.is_none() => {
            format!("{} without --estimate prints the SQL", pasteable("plan"))
        }
        Error::Usage { remedy, .. } => match remedy {
            Remedy::DestroyByPlaybook => format!("run it through {}", pasteable("destroy --playbook FILE")),
            Remedy::DestroyByJobList => {
                let destroy = pasteable("destroy --config-json FILE");
                format!("a job list whose playbooks all destroy runs through {destroy}")
            }
            Remedy::NameOnePlaybook => "keep one of them, or name one with --playbook".to_owned(),
            Remedy::NameTheFolderOfSql => "--sqlroot names the folder that the files of queries are in".to_owned(),
            Remedy::Lint => format!("nothing was changed; {} shows all such places", pasteable("lint")),
            Remedy::NameByItsKind => format!(
                "nothing was done; a playbook has targets, variables and steps, as YAML: --playbook names one, --playbooks and {} a folder of them, --config-json a job list, which is JSON and runs as it is",
                pasteable("import")
            ),
            _ => return None,
        },
        Error::NoResume { .. } => format!(
            "{} takes the flags of the run that failed, its --page-views too; or run the whole again, as it was: every step of the model can run twice",
            pasteable("resume")
        ),
        Error::LoadUnknown { into, .. } => format!(
            "look in {} ({}): if the files' page views are there, go on; if not, load again; loaded twice they are staged twice",
            into.table,
            pasteable(&format!("export {} --to -", into.name))
        ),
        Error::Locked { .. } => format!(
            "wait for it to end, as --wait SECONDS does; a dead run's lock expires by itself, and {} clears it at once",
            pasteable("unlock")
        ),
        Error::File { path, .. } if path == STANDARD_OUTPUT => {
            "only the answer was lost; what the command does is done".to_owned()
        }
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "the disk is full: make room, then do it again".to_owned()
        }
        Error::Unit { place, source, .. }
            if source.kind == WarehouseErrorKind::Missing
                && source.hint.is_none()
                && place.of == Some(Phase::Complete)
                && place.file.is_none() =>
        {
            format!(
                "a table of this run, or production, was dropped or altered after main: {} makes what is missing, and computes the sessions that are still staged; earlier ones come back when their page views are staged again, as by {}",
                pasteable("run"),
                pasteable("rebuild --from DATE")
            )
        }
        Error::Unit { source, .. } if source.kind == WarehouseErrorKind::Permission => {
            let hint = error.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
            format!("{hint}{} checks privileges", pasteable("doctor"))
        }
        other => return other.hint(),
    })
}
