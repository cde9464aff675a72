//! What is wrong with playbooks, or with the configuration's custom modules, as far as that shows without a connection.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output;
use websessions_core::error::Error;
use websessions_core::model::Module;
use websessions_core::words::counted;
use websessions_playbook::{LintProblem, Severity};

impl Invocation<'_> {
    pub(super) fn lint(&self) -> Result<(), Error> {
        let dialect = self.configuration.backend.dialect();
        let dialect = &*dialect;
        let playbooks = &self.configuration.playbooks;
        let lint = |modules: &[Module]| {
            websessions_playbook::lint(playbooks, self.sql_root, dialect, modules, self.variables())
        };
        let come = self.variables().page_views_from.is_some();
        let mut problems = lint(&self.modules_of_playbooks(come));
        if !come && self.configuration.modules.has_page_views() && !playbooks.is_empty() {
            let with_page_views = lint(&self.modules_of_playbooks(true));
            let mut more: Vec<LintProblem> =
                with_page_views.into_iter().filter(|problem| !problems.contains(problem)).collect();
            for problem in more.iter_mut().filter(|problem| problem.severity == Severity::Error) {
                problem.severity = Severity::Warning;
                problem.message =
                    format!("a run that page views come with (--page-views) refuses this: {}", problem.message);
            }
            problems.extend(more);
            problems.sort();
        }
        let apart = self.modules_apart()?.into_iter();
        problems.extend(apart.map(|(playbook, problem)| LintProblem::warning(playbook, problem)));
        if playbooks.is_empty() {
            self.questions_after_run()?;
            let values = self.variables().to_values();
            let modules = self.modules_or(None)?;
            problems.extend(self.configuration.custom.iter().flat_map(|module| {
                websessions_playbook::lint_module(module, &values, dialect, &modules, self.variables())
            }));
        }
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        match self.global.output {
            OutputFormat::Json => output::json(&problems)?,
            OutputFormat::Text => {
                for problem in &problems {
                    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
                    let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
                    output::data(&format!("{}{line}: {severity}: {}\n", problem.file, problem.message))?;
                }
                output::data(&format!(
                    "{}, {}\n",
                    counted(errors, "error"),
                    counted(problems.len() - errors, "warning")
                ))?;
            }
        }
        if errors == 0 {
            return Ok(());
        }
        Err(Error::Check { message: counted(errors, "error"), hint: "mend what is listed as an error".to_owned() })
    }
}
