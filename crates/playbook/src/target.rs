//! Targets: where a playbook runs, with the settings' names that our backends have.

use crate::yaml::scalar;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A target of a playbook: what is not blank, by the keys of playbooks.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The backend that its type means, if it has a type.
    pub backend: Option<&'static str>,
    /// The other keys.
    values: BTreeMap<String, String>,
}

// A password may be among the values.
impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Target").field("name", &self.name).field("backend", &self.backend).finish()
    }
}

/// The keys of a target.
pub(crate) const TARGET_KEYS: &[&str] = &[
    "name",
    "type",
    "host",
    "database",
    "port",
    "username",
    "password",
    "region",
    "account",
    "warehouse",
    "project",
    "query_tag",
    "ssl",
    "private_key_path",
    "private_key_passphrase",
];

/// The types of targets, and the backend that each means.
const TYPES: &[(&str, &str)] = &[
    ("redshift", "redshift"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("snowflake", "snowflake"),
    ("bigquery", "bigquery"),
];

impl Target {
    /// Reads a target's keys.
    pub(crate) fn read(map: &Map<String, Value>) -> Result<Self, String> {
        let mut target = Self::default();
        for (key, value) in map.iter().filter(|(key, _)| TARGET_KEYS.contains(&key.as_str())) {
            let value =
                scalar(value).ok_or_else(|| format!("a target's {key} must be text, a number, true or false"))?;
            match key.as_str() {
                "name" => target.name = value,
                "type" if value.is_empty() => {}
                "type" => {
                    let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
                    let backend = backend_of(&value)
                        .ok_or_else(|| format!("a target's type must be one of {}, not {value:?}", names.join(", ")))?;
                    target.backend = Some(backend);
                }
                _ if value.is_empty() => {}
                _ => drop(target.values.insert(key.clone(), value)),
            }
        }
        Ok(target)
    }

    /// Its settings, as the backend of its type names them. Blank ones are left out, to come from elsewhere.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        for (key, value) in &self.values {
            let (name, value) = match (self.backend.unwrap_or_default(), key.as_str()) {
                (_, "username") => ("user", value.clone()),
                // Keys of the other warehouses.
                ("bigquery", "project") => ("project", value.clone()),
                ("bigquery", "region") => ("location", value.clone()),
                ("bigquery", _) => continue,
                ("snowflake", "account") => {
                    // The region is a part of the account's host name, where it isn't the default one.
                    let region =
                        self.values.get("region").filter(|_| !value.contains('.')).map(|region| format!(".{region}"));
                    ("account", format!("{value}{}", region.unwrap_or_default()))
                }
                (
                    "snowflake",
                    "password" | "warehouse" | "database" | "query_tag" | "private_key_path" | "private_key_passphrase",
                ) => (key.as_str(), value.clone()),
                ("snowflake", _) => continue,
                (_, "host" | "port" | "password" | "database") => (key.as_str(), value.clone()),
                // Without it, TLS verifies.
                (_, "ssl") if value.eq_ignore_ascii_case("false") => ("sslmode", "disable".to_owned()),
                _ => continue,
            };
            settings.insert(name.to_owned(), value);
        }
        settings
    }
}

/// The backend that a type of warehouse means, in any case.
pub(crate) fn backend_of(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, backend)| *backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        let read = crate::yaml::read(text).expect("YAML");
        Target::read(read["targets"][0].as_object().expect("a table")).expect("a target")
    }

    #[test]
    fn settings_have_the_backends_names() {
        let settings = |text: &str| target(&format!("targets:\n- {}", text.replace(", ", "\n  "))).settings();
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            settings("type: SNOWFLAKE, account: acme, region: eu-west-1, username: u, warehouse: w, host: x"),
            of(&[("account", "acme.eu-west-1"), ("user", "u"), ("warehouse", "w")])
        );
        assert_eq!(
            settings("type: bigquery, project: p, region: EU, password: x"),
            of(&[("project", "p"), ("location", "EU")])
        );
        assert_eq!(
            settings("type: postgresql, host: h, ssl: false, username: u"),
            of(&[("host", "h"), ("sslmode", "disable"), ("user", "u")])
        );
        assert!(!format!("{:?}", target("targets: [{type: postgres, password: s3cret}]")).contains("s3cret"));
    }
}
