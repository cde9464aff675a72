//! What is wrong with playbooks, or with the configuration's custom modules, as far as that shows without a connection.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output;
use websessions_core::error::Error;
use websessions_playbook::Severity;

impl Invocation<'_> {
    pub(super) fn lint(&self) -> Result<(), Error> {
        let dialect = self.configuration.backend.name();
        let mut findings = websessions_playbook::lint(&self.configuration.playbooks, self.sql_root, dialect);
        if self.configuration.playbooks.is_empty() {
            for module in &self.configuration.custom {
                let mut values = self.variables().to_values();
                values.extend(module.variables.clone());
                findings.extend(
                    module.files.iter().flat_map(|file| websessions_playbook::lint_file(file, &values, dialect)),
                );
            }
        }
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        match self.global.output {
            OutputFormat::Json => output::json(&findings)?,
            OutputFormat::Text => {
                for finding in &findings {
                    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
                    let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
                    output::data(&format!("{}{line}: {severity}: {}\n", finding.file, finding.message))?;
                }
                output::data(&format!("{errors} errors, {} warnings\n", findings.len() - errors))?;
            }
        }
        if errors == 0 {
            return Ok(());
        }
        Err(Error::Check { message: format!("{errors} errors"), hint: "mend what is listed as an error".to_owned() })
    }
}
