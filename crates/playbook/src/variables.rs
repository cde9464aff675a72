//! The variables of playbooks that are the model's too: which tables a playbook is about, and what its phases do there.

use crate::playbook::Playbook;
use serde_json::Value;
use std::collections::BTreeMap;
use websessions_core::model::users;
use websessions_core::variables::{VARIABLES, check_name};

/// What playbooks of users set on some warehouses, and why it has no effect here.
const WITHOUT_EFFECT_ON_USERS: &[(&str, &str)] = &[
    ("start_date", "the manifest of users begins with 1970-01-01"),
    ("upsert_lookback", OF_THE_KEY_ALONE),
    ("upsert_lookback_days", OF_THE_KEY_ALONE),
];
const OF_THE_KEY_ALONE: &str = "the old row of a user is found wherever it is";

impl Playbook {
    /// Why a variable of its own has no effect, if it has none on the only module that it is for.
    pub fn without_effect(&self, name: &str) -> Option<&'static str> {
        let found = WITHOUT_EFFECT_ON_USERS.iter().find(|(other, _)| *other == name);
        found.filter(|_| self.is_of_module(&users::module())).map(|(_, why)| *why)
    }

    /// The model's variables among its own, as the original reads them, and what is odd about them: a lookback of 0 or
    /// nothing means 30, a flag of nothing is false, or for the end of a run what the module does by itself, names may be
    /// numbers.
    pub fn model_variables(&self) -> (BTreeMap<String, Value>, Vec<String>) {
        let mut values = BTreeMap::new();
        let mut warnings = Vec::new();
        for (name, value) in &self.variables {
            let is_blank = value.is_null() || value.as_str() == Some("");
            if let Some(why) = self.without_effect(name) {
                if !is_blank {
                    warnings.push(format!("{name} has no effect on users: {why}"));
                }
                continue;
            }
            if check_name(name).is_err() || (name == "ends_run" && is_blank) {
                continue;
            }
            let nothing = match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::Bool(truth) => !truth,
                Value::Array(_) | Value::Object(_) => false,
            };
            let value = match name.as_str() {
                // A blank is the common way to say that the default is meant.
                "upsert_lookback" | "upsert_lookback_days" if nothing => {
                    if !is_blank {
                        warnings.push(format!("{name} of {value} means 30 days, as in the original model"));
                    }
                    continue;
                }
                "stage_next" | "skip_derived" | "ends_run" if nothing => Value::Bool(false),
                "scratch_schema" | "output_schema" | "entropy" | "model_version" => match value {
                    Value::Number(number) => Value::String(number.to_string()),
                    other => other.clone(),
                },
                _ => value.clone(),
            };
            values.insert(name.clone(), value);
        }
        (values, warnings)
    }

    /// The variables that decide which tables it is about, as far as it says.
    pub(crate) fn place(&self) -> Vec<(&'static str, String)> {
        let names = VARIABLES.iter().map(|variable| variable.name);
        names
            .filter(|name| ["scratch_schema", "output_schema", "entropy"].contains(name))
            .filter_map(|name| {
                let value = self.variables.get(name)?;
                let text = value
                    .as_str()
                    .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
                Some((name, text))
            })
            .collect()
    }

    /// How the tables that it is about differ from another's.
    pub(crate) fn differs_from(&self, other: &Self) -> Option<String> {
        let others = other.place();
        self.place().into_iter().find_map(|(name, value)| {
            let (_, theirs) = others.iter().find(|(theirs, _)| *theirs == name)?;
            (*theirs != value).then(|| format!("{name} is {value:?}, but {theirs:?} in {}", other.path.display()))
        })
    }
}

/// The first playbook that is about other tables than one before it, and how they differ: the playbooks of one run are
/// about the same tables. One that only sets up is left alone: it may be about more.
pub fn stray(playbooks: &[Playbook]) -> Option<(&Playbook, String)> {
    let mut before: Vec<&Playbook> = Vec::new();
    for playbook in playbooks.iter().filter(|playbook| !playbook.is_set_up()) {
        if let Some(problem) = before.iter().find_map(|other| playbook.differs_from(other)) {
            return Some((playbook, problem));
        }
        before.push(playbook);
    }
    None
}

/// Playbooks that only set up, and are about other tables than one that doesn't: perhaps not what was meant.
pub(crate) fn odd_set_ups(playbooks: &[Playbook]) -> Vec<(&Playbook, String)> {
    let (set_ups, others): (Vec<_>, Vec<_>) = playbooks.iter().partition(|playbook| playbook.is_set_up());
    let differs = |playbook: &Playbook| others.iter().find_map(|other| playbook.differs_from(other));
    set_ups.into_iter().filter_map(|playbook| Some((playbook, differs(playbook)?))).collect()
}
