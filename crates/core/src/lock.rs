//! One run at a time per schemas and entropy: a lease in the warehouse, renewed while the run lives.
//!
//! The lease is a row of `sessions_lock` with holder, host and expiry by the warehouse's clock. Taking it is one
//! `UPDATE` of rows that are free, expired or ours, and then a look at who holds them. Two runs that race for it both
//! end their `UPDATE` before they look, so at least one of them sees the other's and gives way: never do two hold it.
//! (Two rows can exist if two runs created the table at once; a run that takes one and sees another's gives its row back
//! and tries again. So once a run holds the lease, one row of its own is enough: others see it, and give way.)
//! Giving it up is `DROP TABLE` by the holder, so the table exists only while a run holds it, died holding it, or failed:
//! a run that failed frees its row and notes there the step at which it stopped, for `resume`.

use crate::dialect::Dialect;
use crate::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use crate::plan::Statement;
use crate::rows::Rows;
use crate::table::{Column, ColumnType, Lifetime, SchemaRole, Table, TableName};
use crate::variables::Variables;
use crate::warehouse::{self, Warehouse};
use backon::{ExponentialBuilder, Retryable};
use std::time::{Duration, Instant};

/// The longest name of a step that the note of a run holds, in characters of up to four bytes.
pub(crate) const LONGEST_STEP: usize = 60;

/// The table of the lease.
pub fn table() -> Table {
    use ColumnType::{Timestamp, Varying};
    let columns = [
        ("holder", Varying(64)),
        ("host", Varying(255)),
        ("acquired_tstamp", Timestamp),
        ("expires_tstamp", Timestamp),
        ("stopped_at", Varying(255)),
        ("done_before", Varying(64)),
    ];
    let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).to_vec();
    Table::new("sessions_lock", SchemaRole::Scratch, Lifetime::Module, columns)
}

/// Where a run stopped: a step, and the checksum of what had been done before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) step: String,
    pub(crate) fingerprint: String,
}

/// The words that name a run to other runs.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The run's own id.
    pub id: String,
    /// The host and process it runs in, for people.
    pub host: String,
}

impl Holder {
    /// A new holder on this host. Characters that have no place in a host name are left out.
    pub fn new(host: &str) -> Self {
        let host: String = host
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || ".-_ ".contains(*character))
            .take(200)
            .collect();
        Self { id: uuid::Uuid::new_v4().to_string(), host: format!("{host} process {}", std::process::id()) }
    }
}

/// A lease that this run holds, as far as it knows.
pub(crate) struct Lease<'a> {
    warehouse: &'a dyn Warehouse,
    table: TableName,
    holder: Holder,
    length: Duration,
    /// Until when, by our own clock: counted from before the renewal was sent, so it is never too late.
    valid_until: std::sync::Mutex<Instant>,
}

/// A holder of the lock, as others see it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Who, since when, until when.
    pub in_words: String,
    /// Whether its lease has run out: then anyone may take the lock.
    pub expired: bool,
}

/// Who holds the lock; `None` if nobody does.
pub async fn holder(warehouse: &dyn Warehouse, variables: &Variables) -> Result<Option<Held>, WarehouseError> {
    let table = variables.table_name(&self::table());
    let dialect = warehouse.dialect();
    warehouse.free_dead_lock(&table).await?;
    match warehouse.query(&dialect.columns_query(&table.schema, &[&table.name])).await {
        // A catalog shows a role what it may read: a table that is not there may be one that it may not.
        Ok(found) if found.rows.is_empty() => {
            return match look(warehouse, &table).await {
                Err(error) if error.kind == WarehouseErrorKind::Permission => Err(error),
                _ => Ok(None),
            };
        }
        Err(error) if error.kind == WarehouseErrorKind::Missing => return Ok(None),
        other => drop(other?),
    }
    Ok(describe(&look(warehouse, &table).await?, None))
}

/// Clears the lock, whoever holds it.
pub async fn clear(warehouse: &dyn Warehouse, variables: &Variables) -> Result<(), WarehouseError> {
    let table = variables.table_name(&self::table());
    warehouse.execute(&warehouse.dialect().drop_table(&table)).await.map(|_| ())
}

async fn look(warehouse: &dyn Warehouse, table: &TableName) -> Result<Rows, WarehouseError> {
    let sql = format!(
        "SELECT holder, host, CAST(acquired_tstamp AS {text}) AS acquired, CAST(expires_tstamp AS {text}) AS expires,\n  CASE WHEN expires_tstamp < {now} THEN 1 ELSE 0 END AS expired\nFROM {table}",
        table = warehouse.dialect().table(table),
        now = warehouse.dialect().now(),
        text = warehouse.dialect().column_type(ColumnType::Varying(64)),
    );
    warehouse.query(&sql).await
}

/// The first holder that is not `own`.
fn describe(rows: &Rows, own: Option<&str>) -> Option<Held> {
    (0..rows.rows.len()).find_map(|row| {
        let holder = rows.get(row, "holder").to_string();
        if holder.is_empty() || Some(holder.as_str()) == own {
            return None;
        }
        let expired = rows.get(row, "expired").as_integer() != 0;
        let in_words = format!(
            "{} (run {holder}), since {}, {} {} UTC{}",
            rows.get(row, "host"),
            rows.get(row, "acquired"),
            if expired { "expired" } else { "until" },
            rows.get(row, "expires"),
            if expired { "" } else { " unless renewed" },
        );
        Some(Held { in_words, expired })
    })
}

impl<'a> Lease<'a> {
    /// Takes the lease, or says who holds it. A run that resumes keeps the note of the one before; any other forgets it.
    pub(crate) async fn acquire(
        warehouse: &'a dyn Warehouse,
        variables: &Variables,
        holder: Holder,
        length: Duration,
        resumes: bool,
    ) -> Result<Lease<'a>, Error> {
        let table = variables.table_name(&self::table());
        let lease = Self { warehouse, table, holder, length, valid_until: std::sync::Mutex::new(Instant::now()) };
        let failed = |source| Error::Warehouse { context: "can't take the lock".into(), source };
        warehouse.free_dead_lock(&lease.table).await.map_err(failed)?;
        // A table that vanishes in between was dropped by the run that held it: try again, now it is free.
        match (|| lease.try_acquire(variables, resumes)).retry(attempts()).when(passing).await.map_err(failed)? {
            None => Ok(lease),
            Some(other) => Err(Error::Locked { table: lease.table.to_string(), holder: other.in_words }),
        }
    }

    async fn try_acquire(&self, variables: &Variables, resumes: bool) -> Result<Option<Held>, WarehouseError> {
        let dialect = self.warehouse.dialect();
        let sent = Instant::now();
        for statement in dialect.ensure_table(&table(), &self.table) {
            if let Err(error) = warehouse::make(self.warehouse, &statement).await {
                if error.kind != WarehouseErrorKind::Missing {
                    return Err(error);
                }
                warehouse::make(self.warehouse, &dialect.ensure_schema(&variables.scratch_schema)).await?;
                warehouse::make(self.warehouse, &statement).await?;
            }
        }
        let table = dialect.table(&self.table);
        self.send(
            "the lock's row",
            format!(
                "INSERT INTO {table} (holder)\nSELECT CAST(NULL AS {})\nFROM (SELECT 1 AS one) AS one_row\nWHERE NOT EXISTS (SELECT 1 FROM {table})",
                dialect.column_type(ColumnType::Varying(64))
            ),
        )
        .await?;
        self.send(
            "takes the lock",
            format!(
                "UPDATE {table}\nSET holder = {holder}, host = {host}, acquired_tstamp = {now}, expires_tstamp = {expires}{note}\nWHERE holder IS NULL OR holder = {holder} OR expires_tstamp < {now}",
                holder = dialect.text(&self.holder.id),
                host = dialect.text(&self.holder.host),
                now = dialect.now(),
                expires = self.expiry(&*dialect),
                note = if resumes { "" } else { ", stopped_at = NULL, done_before = NULL" },
            ),
        )
        .await?;
        let rows = look(self.warehouse, &self.table).await?;
        match (describe(&rows, Some(&self.holder.id)), self.is_in(&rows)) {
            (None, true) => {
                self.extend(sent);
                Ok(None)
            }
            (Some(other), false) => Ok(Some(other)),
            (Some(_), true) => {
                // Two runs made a row each and hold one each: both give way and try again, each after its own time.
                self.send(
                    "gives way to another run",
                    format!("UPDATE {table}\nSET holder = NULL\nWHERE holder = {}", dialect.text(&self.holder.id)),
                )
                .await?;
                Err(passing_error("another run takes the lock at the same time"))
            }
            (None, false) => Err(passing_error("the lock was given up while it was taken")),
        }
    }

    /// Whether we hold a row. Whoever takes another row sees ours, and gives way.
    fn is_in(&self, rows: &Rows) -> bool {
        (0..rows.rows.len()).any(|row| rows.get(row, "holder").to_string() == self.holder.id)
    }

    /// Renews the lease; `Ok(false)` if another run holds it now.
    pub(crate) async fn renew(&self) -> Result<bool, WarehouseError> {
        let dialect = self.warehouse.dialect();
        let sent = Instant::now();
        let renewal = format!(
            "UPDATE {}\nSET expires_tstamp = {}\nWHERE holder = {}",
            dialect.table(&self.table),
            self.expiry(&*dialect),
            dialect.text(&self.holder.id)
        );
        let looked = async {
            self.send("renews the lock", renewal).await?;
            look(self.warehouse, &self.table).await
        };
        let rows = match looked.await {
            Err(error) if error.kind == WarehouseErrorKind::Missing => return Ok(false),
            other => other?,
        };
        let held = self.is_in(&rows);
        if held {
            self.extend(sent);
        }
        Ok(held)
    }

    /// Whether the lease holds for sure, by our own clock.
    pub(crate) fn is_valid(&self) -> bool {
        Instant::now() < *self.valid_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How long between two renewals.
    pub(crate) fn renewal_interval(&self) -> Duration {
        self.length / 3
    }

    /// Gives the lease up, if it is still ours. With the note of a run that failed.
    pub(crate) async fn release(self, note: Option<&Note>) -> Result<(), WarehouseError> {
        (|| self.try_release(note)).retry(attempts()).when(passing).await
    }

    async fn try_release(&self, note: Option<&Note>) -> Result<(), WarehouseError> {
        if !self.renew().await? {
            return Ok(());
        }
        let dialect = self.warehouse.dialect();
        let Some(note) = note else {
            return self.warehouse.execute(&dialect.drop_table(&self.table)).await.map(|_| ());
        };
        self.send(
            "gives the lock up, and notes where the run stopped",
            format!(
                "UPDATE {}\nSET holder = NULL, stopped_at = {}, done_before = {}\nWHERE holder = {}",
                dialect.table(&self.table),
                dialect.text(&note.step.chars().take(LONGEST_STEP).collect::<String>()),
                dialect.text(&note.fingerprint),
                dialect.text(&self.holder.id)
            ),
        )
        .await
    }

    /// Where the last run stopped, if it failed.
    pub(crate) async fn note(&self) -> Result<Option<Note>, WarehouseError> {
        let table = self.warehouse.dialect().table(&self.table);
        let rows = self.warehouse.query(&format!("SELECT stopped_at, done_before\nFROM {table}")).await?;
        let text = |row, column| Some(rows.get(row, column).to_string()).filter(|text| !text.is_empty());
        Ok((0..rows.rows.len())
            .find_map(|row| Some(Note { step: text(row, "stopped_at")?, fingerprint: text(row, "done_before")? })))
    }

    fn extend(&self, sent: Instant) {
        *self.valid_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = sent + self.length;
    }

    fn expiry(&self, dialect: &dyn Dialect) -> String {
        dialect.plus_seconds(&dialect.now(), self.length.as_secs().max(1))
    }

    async fn send(&self, purpose: &str, sql: String) -> Result<(), WarehouseError> {
        self.warehouse.execute(&Statement::new(purpose, sql)).await.map(|_| ())
    }
}

/// The pauses between attempts at the lock.
fn attempts() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(Duration::from_millis(20)).with_max_times(6).with_jitter()
}

fn passing_error(words: &str) -> WarehouseError {
    WarehouseError::new(WarehouseErrorKind::Locked, words).with_retry(Retry::NotApplied)
}

/// Whether an error of a lock statement can pass by itself: the table vanished, or two runs met.
fn passing(error: &WarehouseError) -> bool {
    error.kind == WarehouseErrorKind::Missing || error.retry != Retry::Never
}
