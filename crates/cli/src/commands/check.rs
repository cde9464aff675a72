//! Tests of data: the model's, and users' own.

use super::Invocation;
use crate::arguments::{OutputFormat, SAMPLES};
use crate::interruption::{interrupted, unless};
use crate::output;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use websessions_core::error::Error;
use websessions_core::insight::{Answer, Insight, Outcome, Question, Since, set_severities};
use websessions_core::model::{self, Severity};
use websessions_core::warehouse::Warehouse;
use websessions_core::words::counted;

/// Of what nothing is known when they were stopped.
pub(super) const BEFORE_RUN: &str = "all checks were run";

/// Which tests are asked, and of what.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) names: Vec<String>,
    pub(super) files: Vec<PathBuf>,
    pub(super) since: Option<Since>,
    pub(super) samples: u32,
}

impl Default for Asked {
    /// All of them, of all rows.
    fn default() -> Self {
        Self { names: Vec::new(), files: Vec::new(), since: None, samples: SAMPLES }
    }
}

impl Invocation<'_> {
    pub(super) async fn check(&self, asked: &Asked, junit: Option<&Path>) -> Result<(), Error> {
        let written_to = junit.map(|path| Ok::<_, Error>((self.destination(path, &asked.files)?, path))).transpose()?;
        let warehouse = self.connect_unless_stopped(BEFORE_RUN).await?;
        let answers = self.answers(&*warehouse, asked);
        let answers = unless(interrupted(), BEFORE_RUN, &*warehouse, answers).await?;
        if let Some((destination, path)) = written_to {
            let failed = |source| Error::File { path: path.display().to_string(), source };
            let xml = junit_report(&answers).to_string().map_err(|error| failed(std::io::Error::other(error)))?;
            destination.write(xml.as_bytes(), path, 0)?;
        }
        match self.global.output {
            OutputFormat::Json => output::json(&in_json(&answers))?,
            OutputFormat::Text => output::data(&in_words(&answers))?,
        }
        // Of those that were named and are off, each is said.
        if answers.is_empty() && asked.names.is_empty() {
            output::warn("nothing was checked: [check.severity] has all of it off");
        } else if !answers.is_empty() && answers.iter().all(|answer| answer.outcome == Outcome::Skipped) {
            output::warn("nothing was checked: the tables are not there, or runs don't write them");
        }
        failure(&answers)
    }

    /// What the model's tests and users' own find.
    pub(super) async fn answers(&self, warehouse: &dyn Warehouse, asked: &Asked) -> Result<Vec<Answer>, Error> {
        let insight = self.insight(&warehouse.dialect());
        let mut questions = self.questions(&insight, warehouse.dialect().name(), asked)?;
        if !asked.names.is_empty() {
            for name in &asked.names {
                if !questions.iter().any(|question| question.name == *name) {
                    let known = questions.iter().map(|question| question.name.as_str());
                    return Err(Error::configuration(websessions_core::did_you_mean::unknown("check", name, known)));
                }
            }
            questions.retain(|question| asked.names.contains(&question.name));
            for question in questions.iter().filter(|question| question.severity == Severity::Off) {
                output::warn(&format!("{} was not checked: [check.severity] has it off", question.name));
            }
        }
        self.ask(&insight, warehouse, &questions, asked).await
    }

    /// What these tests find.
    pub(super) async fn ask(
        &self,
        insight: &Insight<'_>,
        warehouse: &dyn Warehouse,
        questions: &[Question],
        asked: &Asked,
    ) -> Result<Vec<Answer>, Error> {
        let mut answers = insight.ask(warehouse, questions, asked.samples).await?;
        // Of modules that nobody asked for, the tables may be there all the same.
        let aside: Vec<&str> = model::modules()
            .iter()
            .filter(|module| !self.configuration.modules.names(module))
            .flat_map(|module| module.checks)
            .map(|check| check.name)
            .filter(|name| !asked.names.iter().any(|asked| asked == name))
            .collect();
        answers.retain(|answer| answer.outcome != Outcome::Skipped || !aside.contains(&answer.name.as_str()));
        Ok(answers)
    }

    /// The tests of data that come after a run: read, and looked at, before it begins.
    pub(super) fn questions_after_run(&self) -> Result<Vec<Question>, Error> {
        let dialect = self.configuration.backend.dialect();
        let questions = self.questions(&self.insight(&dialect), dialect.name(), &Asked::default())?;
        let own = questions.iter().filter(|question| question.table.is_none() && question.severity != Severity::Off);
        for question in own {
            // A warehouse may know more SQL than the parser does.
            if let Some(problem) = websessions_playbook::problem_of(&question.select, dialect.name()) {
                output::warn(&format!(
                    "{}: as SQL it can't be read: {problem}; it is asked all the same",
                    question.about
                ));
            }
        }
        Ok(questions)
    }

    pub(super) fn questions(
        &self,
        insight: &Insight<'_>,
        dialect: &str,
        asked: &Asked,
    ) -> Result<Vec<Question>, Error> {
        let checking = &self.configuration.check;
        let mut questions = insight.questions(asked.since.as_ref());
        let values = self.variables().to_values();
        for file in checking.files()?.iter().chain(&asked.files) {
            let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(other) = questions.iter().find(|question| question.name == name) {
                let message = format!("{}: there is a check {name} already: {}", file.display(), other.about);
                return Err(Error::Configuration { message, hint: Some("give the file another name".to_owned()) });
            }
            let select = websessions_playbook::query_of(file, &values, dialect)?;
            questions.push(Question::own(name, file.display().to_string(), select));
        }
        set_severities(&mut questions, &checking.severities)
            .map_err(|problem| Error::configuration(format!("[check.severity]: {problem}")))?;
        Ok(questions)
    }
}

/// The error of tests that failed, if some have.
pub(super) fn failure(answers: &[Answer]) -> Result<(), Error> {
    let failed: Vec<&str> =
        answers.iter().filter(|answer| answer.outcome == Outcome::Failed).map(|answer| answer.name.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Check {
        message: format!("{} of {} checks failed: {}", failed.len(), answers.len(), failed.join(", ")),
        hint: format!(
            "{} prints their SQL; [check.severity] in websessions.toml makes one warn, or off",
            output::pasteable("plan check")
        ),
    })
}

/// What tests found, for programs.
pub(super) fn in_json(answers: &[Answer]) -> Value {
    let count = |outcome| answers.iter().filter(|answer| answer.outcome == outcome).count();
    let checks: Vec<Value> = answers
        .iter()
        .map(|answer| {
            let mut value = serde_json::to_value(answer).unwrap_or(Value::Null);
            value["samples"] = json!(output::objects(&answer.samples));
            value
        })
        .collect();
    json!({
        "passed": count(Outcome::Passed),
        "warned": count(Outcome::Warned),
        "failed": count(Outcome::Failed),
        "skipped": count(Outcome::Skipped),
        "checks": checks,
    })
}

/// What tests found, for people.
pub(super) fn in_words(answers: &[Answer]) -> String {
    let rows = answers.iter().map(|answer| {
        let outcome = match answer.outcome {
            Outcome::Passed => "ok",
            Outcome::Warned => "warning",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        let found = match (&answer.reason, answer.failures) {
            (Some(reason), _) => reason.clone(),
            (None, 0) => String::new(),
            (None, failures) => counted(failures, "row"),
        };
        [outcome.to_owned(), answer.name.clone(), answer.about.clone(), found]
    });
    let mut text = output::table(["", "check", "what must hold", "found"], rows);
    for answer in answers.iter().filter(|answer| !answer.samples.rows.is_empty()) {
        text.push_str(&format!(
            "{}: {} of {}\n",
            answer.name,
            answer.samples.rows.len(),
            counted(answer.failures, "row")
        ));
        text.push_str(&output::rows(&answer.samples));
    }
    text
}

/// What tests found, as programs that run tests write it. What warns has passed there, with the words as its output.
fn junit_report(answers: &[Answer]) -> Report {
    let mut suite = TestSuite::new("websessions check");
    for answer in answers {
        let words = match &answer.reason {
            Some(reason) => reason.clone(),
            None => format!("{}: {}", counted(answer.failures, "row"), answer.about),
        };
        let samples = output::rows(&answer.samples);
        let mut status = match answer.outcome {
            Outcome::Passed | Outcome::Warned => TestCaseStatus::success(),
            Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Outcome::Skipped => TestCaseStatus::skipped(),
        };
        if matches!(answer.outcome, Outcome::Failed | Outcome::Skipped) {
            status.set_message(words.clone());
        }
        if answer.outcome == Outcome::Failed && !answer.samples.rows.is_empty() {
            status.set_description(samples.clone());
        }
        let mut case = TestCase::new(answer.name.clone(), status);
        case.set_classname(answer.table.clone().unwrap_or_else(|| "own".to_owned()));
        case.set_time(Duration::from_secs_f64(answer.seconds));
        if answer.outcome == Outcome::Warned {
            case.set_system_out(format!("{words}\n{samples}"));
        }
        suite.add_test_case(case);
    }
    let mut report = Report::new("websessions");
    report.add_test_suite(suite);
    report
}
