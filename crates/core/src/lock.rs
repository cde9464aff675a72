//! One run at a time per schemas and entropy: a lease in the warehouse, renewed while the run lives.
//!
//! The lease is a row of `sessions_lock` with holder, host and expiry by the warehouse's clock. Taking it is one
//! `UPDATE` of rows that are free, expired or ours, and then a look at who holds them. Two runs that race for it both
//! end their `UPDATE` before they look, so at least one of them sees the other's and gives way: never do two hold it.
//! (Two rows can exist if two runs created the table at once; a run that takes one and sees another's gives its row back
//! and tries again. So once a run holds the lease, one row of its own is enough: others see it, and give way.)
//! Giving it up is `DROP TABLE` by the holder, so the table exists only while a run holds it, died holding it, was cleared,
//! or failed: a run that failed frees its row and notes there the step at which it stopped, for `resume`. A table of
//! another role's can't be dropped; then the row is freed. Every role that may use the schema may change the rows.
//!
//! A lease alone can't stop a run that was stopped itself, by a signal, by a sleeping machine, between its look at the clock
//! and its next statement. So each block of changes begins with the renewal of its own row (`Lease::guard`), in the block's
//! transaction: without that row nothing of the block happens, and while the block is open nobody else can take the row.
//! Either the block's transaction comes first, then whoever takes over waits for its end (or is refused), and finds the work
//! done; or the take-over comes first, then the block finds no row. A statement that is no block makes a scratch table anew,
//! and may come late from a run that lost its lock: what a block moves into tables that stay, or removes, is therefore sealed
//! by checksums, and the block compares them (`seal_holds.sql`, `committed_and_sealed.sql`). And whoever takes the lock over, or
//! clears it, first ends what its former holder may still be running, and awaits that. The argument is checked by a search of
//! every state of a model (`lock/model.rs`), and by trials of the kit that stop two runs before each of their statements.

use crate::clock;
use crate::dialect::Dialect;
use crate::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use crate::plan::Statement;
use crate::rows::Rows;
use crate::table::{Column, ColumnType, Lifetime, SchemaRole, Table, TableName};
use crate::variables::Variables;
use crate::warehouse::{self, Warehouse};
use backon::{ExponentialBuilder, Retryable};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod model;

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
#[non_exhaustive]
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

/// How long a lease is, and when the warehouse last said that it is ours.
struct Term {
    length: Duration,
    /// In microseconds of our own clock: counted from before the warehouse was asked, so it is never too late.
    confirmed: AtomicU64,
}

impl Term {
    fn confirm(&self, sent: Duration) {
        self.confirmed.fetch_max(u64::try_from(sent.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn age(&self) -> Duration {
        clock::now().saturating_sub(Duration::from_micros(self.confirmed.load(Ordering::SeqCst)))
    }

    fn holds(&self) -> bool {
        self.age() < self.length
    }

    fn is_fresh(&self) -> bool {
        self.age() <= self.third()
    }

    fn third(&self) -> Duration {
        self.length / 3
    }
}

/// A lease that this run holds, as far as it knows.
pub(crate) struct Lease<'a> {
    warehouse: &'a dyn Warehouse,
    table: TableName,
    holder: Holder,
    term: Term,
    /// Cancelled as soon as the warehouse says that it is ours no more. It never becomes ours again.
    lost: CancellationToken,
    /// What a former holder may still be running, in words.
    left: Mutex<Vec<String>>,
    /// Held while a block is open in which the lock's row is changed: a renewal at the same time would be in its way.
    pub(crate) renewals: tokio::sync::Mutex<()>,
}

/// A holder of the lock, as others see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
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

/// The step at which the last run stopped, if it failed and nothing has run since.
pub async fn stopped_at(warehouse: &dyn Warehouse, variables: &Variables) -> Result<Option<String>, WarehouseError> {
    let table = variables.table_name(&self::table());
    if !exists(warehouse, &table).await? {
        return Ok(None);
    }
    Ok(note(warehouse, &table).await?.map(|note| note.step))
}

async fn exists(warehouse: &dyn Warehouse, table: &TableName) -> Result<bool, WarehouseError> {
    match warehouse.query(&warehouse.dialect().columns_query(&table.schema, &[&table.name])).await {
        Err(error) if error.kind == WarehouseErrorKind::Missing => Ok(false),
        other => Ok(!other?.rows.is_empty()),
    }
}

async fn note(warehouse: &dyn Warehouse, table: &TableName) -> Result<Option<Note>, WarehouseError> {
    let rows =
        warehouse.query(&format!("SELECT stopped_at, done_before\nFROM {}", warehouse.dialect().table(table))).await?;
    let text = |row, column| Some(rows.get(row, column).to_string()).filter(|text| !text.is_empty());
    Ok((0..rows.rows.len())
        .find_map(|row| Some(Note { step: text(row, "stopped_at")?, fingerprint: text(row, "done_before")? })))
}

/// Clears the lock, whoever holds it, and ends what its holder still runs; gives what of that may go on, in words. The table
/// stays, for the next run: it may be another role's, and dropping it could drop a lock that was taken meanwhile.
pub async fn clear(warehouse: &dyn Warehouse, variables: &Variables) -> Result<Vec<String>, WarehouseError> {
    let dialect = warehouse.dialect();
    let table = variables.table_name(&self::table());
    let rows = look(warehouse, &table).await?;
    let holders: Vec<String> = (0..rows.rows.len()).map(|row| rows.get(row, "holder").to_string()).collect();
    let mut left = Vec::new();
    for holder in holders.iter().filter(|holder| !holder.is_empty()) {
        left.extend(warehouse.end_statements(holder).await?);
    }
    let free = format!("UPDATE {}\nSET holder = NULL\nWHERE holder IS NOT NULL", dialect.table(&table));
    warehouse.execute(&Statement::new("clears the lock", free)).await?;
    Ok(left)
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
        let lease = Self {
            warehouse,
            table,
            holder,
            term: Term { length, confirmed: AtomicU64::new(0) },
            lost: CancellationToken::new(),
            left: Mutex::default(),
            renewals: tokio::sync::Mutex::new(()),
        };
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
        let sent = clock::now();
        let is_new = !exists(self.warehouse, &self.table).await?;
        for statement in dialect.ensure_table(&table(), &self.table) {
            if let Err(error) = warehouse::make(self.warehouse, &statement).await {
                if error.kind != WarehouseErrorKind::Missing {
                    return Err(error);
                }
                warehouse::make(self.warehouse, &dialect.ensure_schema(&variables.scratch_schema)).await?;
                warehouse::make(self.warehouse, &statement).await?;
            }
        }
        if is_new {
            for statement in dialect.share_table(&self.table) {
                match self.warehouse.execute(&statement).await {
                    Err(error) if error.retry != Retry::Never => return Err(error),
                    // Refused: then the table serves this role alone, as it would have without the attempt.
                    _ => {}
                }
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
        // Whoever held it may be dead, and what it had sent may live: that ends before this run begins.
        let before = look(self.warehouse, &self.table).await?;
        for row in (0..before.rows.len()).filter(|row| before.get(*row, "expired").as_integer() != 0) {
            let former = before.get(row, "holder").to_string();
            if !former.is_empty() && former != self.holder.id {
                let left = self.warehouse.end_statements(&former).await?;
                self.left.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
            }
        }
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
                self.confirm(sent);
                Ok(None)
            }
            (Some(other), false) => Ok(Some(other)),
            (Some(_), true) => {
                // Two runs made a row each and hold one each: both give way and try again, each after its own time.
                self.free("gives way to another run").await?;
                Err(passing_error("another run takes the lock at the same time"))
            }
            (None, false) => Err(passing_error("the lock was given up while it was taken")),
        }
    }

    /// What a former holder may still be running, in words: asked for once.
    pub(crate) fn left_by_former_holders(&self) -> Vec<String> {
        std::mem::take(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether we hold a row. Whoever takes another row sees ours, and gives way.
    fn is_in(&self, rows: &Rows) -> bool {
        (0..rows.rows.len()).any(|row| rows.get(row, "holder").to_string() == self.holder.id)
    }

    /// Renews the lease; `Ok(false)` if it is ours no more, from when on it never is.
    pub(crate) async fn renew(&self) -> Result<bool, WarehouseError> {
        if self.lost.is_cancelled() {
            return Ok(false);
        }
        let sent = clock::now();
        let renewed = async {
            self.warehouse.execute(&self.renewal()).await?;
            look(self.warehouse, &self.table).await
        };
        let held = match renewed.await {
            Err(error) if error.kind == WarehouseErrorKind::Missing => false,
            other => self.is_in(&other?),
        };
        if held {
            self.confirm(sent)
        } else {
            self.lost.cancel()
        }
        Ok(held)
    }

    fn renewal(&self) -> Statement {
        let dialect = self.warehouse.dialect();
        let sql = format!(
            "UPDATE {}\nSET expires_tstamp = {}\nWHERE holder = {}",
            dialect.table(&self.table),
            self.expiry(&*dialect),
            dialect.text(&self.holder.id)
        );
        Statement::new("renews the lock", sql)
    }

    /// What a block begins with: it holds the lock's row until the block's end, and without that row nothing happens.
    pub(crate) fn guard(&self) -> Statement {
        Statement { purpose: "this run holds its lock".to_owned(), ..self.renewal() }.must_change()
    }

    /// Says that the lease was confirmed by what was sent at a time of our own clock.
    pub(crate) fn confirm(&self, sent: Duration) {
        self.term.confirm(sent);
    }

    /// Says that the lease is ours no more.
    pub(crate) fn lose(&self) {
        self.lost.cancel();
    }

    /// What is cancelled as soon as the lease is ours no more.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Whether the lease holds for sure, by our own clock.
    pub(crate) fn is_valid(&self) -> bool {
        !self.lost.is_cancelled() && self.term.holds()
    }

    /// Whether the lease was confirmed so lately that nothing need be asked before a write.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.lost.is_cancelled() && self.term.is_fresh()
    }

    /// How long between two renewals.
    pub(crate) fn renewal_interval(&self) -> Duration {
        self.term.third()
    }

    /// Gives the lease up, if it is still ours. With the note of a run that failed.
    pub(crate) async fn release(self, note: Option<&Note>) -> Result<(), WarehouseError> {
        (|| self.try_release(note)).retry(attempts()).when(passing).await
    }

    async fn try_release(&self, note: Option<&Note>) -> Result<(), WarehouseError> {
        let dialect = self.warehouse.dialect();
        if !self.renew().await? {
            // A run that found what it made changed by another gives up a lock that it may hold still.
            return match self.free("gives the lock up, if it is its own").await {
                Err(error) if error.kind == WarehouseErrorKind::Missing => Ok(()),
                other => other,
            };
        }
        if note.is_none() {
            match self.warehouse.execute(&dialect.drop_table(&self.table)).await {
                // Another role's: the row is freed instead.
                Err(error) if error.kind == WarehouseErrorKind::Permission => {}
                other => return other.map(|_| ()),
            }
        }
        let text = |text: Option<String>| text.map_or_else(|| "NULL".to_owned(), |text| dialect.text(&text));
        self.send(
            "gives the lock up, and notes where the run stopped",
            format!(
                "UPDATE {}\nSET holder = NULL, stopped_at = {}, done_before = {}\nWHERE holder = {}",
                dialect.table(&self.table),
                text(note.map(|note| note.step.chars().take(LONGEST_STEP).collect())),
                text(note.map(|note| note.fingerprint.clone())),
                dialect.text(&self.holder.id)
            ),
        )
        .await
    }

    /// Frees the rows that are ours.
    async fn free(&self, purpose: &str) -> Result<(), WarehouseError> {
        let dialect = self.warehouse.dialect();
        let (table, holder) = (dialect.table(&self.table), dialect.text(&self.holder.id));
        self.send(purpose, format!("UPDATE {table}\nSET holder = NULL\nWHERE holder = {holder}")).await
    }

    /// Where the last run stopped, if it failed.
    pub(crate) async fn note(&self) -> Result<Option<Note>, WarehouseError> {
        note(self.warehouse, &self.table).await
    }

    fn expiry(&self, dialect: &dyn Dialect) -> String {
        dialect.plus_seconds(&dialect.now(), self.term.length.as_secs().max(1))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_out_while_the_machine_sleeps() {
        let term = Term { length: Duration::from_secs(3600), confirmed: AtomicU64::new(0) };
        term.confirm(clock::now());
        assert!(term.is_fresh() && term.holds());
        clock::suspend(Duration::from_secs(1201));
        assert!(
            !term.is_fresh() && term.holds(),
            "more than a third has passed: the warehouse is asked before a write"
        );
        clock::suspend(Duration::from_secs(2400));
        assert!(!term.is_fresh() && !term.holds());
        term.confirm(clock::now());
        // An answer that comes late says nothing of the time since.
        term.confirm(clock::now() - Duration::from_secs(3000));
        assert!(term.is_fresh() && term.holds());
    }
}
