//! Who holds the lock, and clearing it.

use super::{Invocation, confirm};
use crate::arguments::OutputFormat;
use crate::output;
use serde_json::json;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::lock;
use websessions_core::warehouse::Warehouse;

impl Invocation<'_> {
    pub(super) async fn unlock(&self, yes: bool) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let failed = |source| Error::Warehouse { context: "can't look at the lock".into(), source };
        let holder = lock::holder(&*warehouse, self.variables()).await.map_err(failed)?.map(|holder| holder.in_words);
        let cleared = match &holder {
            None => false,
            Some(holder) => {
                output::talk(&format!("the lock is held by {holder}"));
                confirm("Clear it? A run that is still alive will stop before its next write.", yes)?;
                self.clear(&*warehouse).await?;
                true
            }
        };
        match self.global.output {
            OutputFormat::Json => output::json(&json!({ "holder": holder, "cleared": cleared })),
            OutputFormat::Text if cleared => output::data("cleared\n"),
            OutputFormat::Text => output::data("nobody holds the lock\n"),
        }
    }

    async fn clear(&self, warehouse: &dyn Warehouse) -> Result<(), Error> {
        let table = self.variables().table_name(&lock::table());
        let left = lock::clear(warehouse, self.variables()).await.map_err(|source| match source.kind {
            WarehouseErrorKind::Permission => Error::Warehouse {
                context: format!(
                    "can't clear the lock: {table} belongs to another role, and this one may not change it"
                ),
                source: source.with_hint(format!(
                    "let the role that owns it unlock, or grant SELECT and UPDATE on {table} to this one"
                )),
            },
            _ => Error::Warehouse { context: "can't clear the lock".to_owned(), source },
        })?;
        for left in left {
            output::warn(&format!(
                "{left}; it can change nothing that stays: every block of changes asks for the lock"
            ));
        }
        Ok(())
    }
}
