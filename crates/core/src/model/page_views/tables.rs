//! Every table of the page views module: its columns in order, where it lives, how long it lives and how it is laid out.

use crate::model::sessions::tables::page_views_staged;
use crate::model::shared::metadata_columns;
use crate::table::ColumnType::*;
use crate::table::{Column, Layout, Lifetime, SchemaRole, Table};
use crate::variables::Variables;

pub use crate::model::sessions::tables::PAGE_VIEWS_STAGED;

/// Production: one row a page view, numbered within its session.
pub const PAGE_VIEWS: &str = "page_views";

/// What came: the rows of the files, or of the user's table. Replaced by each run.
pub const PAGE_VIEWS_ARRIVED: &str = "page_views_arrived";

/// The page views that came, each once, and in how many rows. Narrow, as all that decides is.
pub const PAGE_VIEWS_NEW: &str = "page_views_new";

/// The sessions that have an arrival, with the start of the first in it.
pub const PAGE_VIEWS_SESSIONS: &str = "page_views_sessions";

/// Production's rows of these sessions; of a run that takes page views in, without those that came just as they are stored.
pub const PAGE_VIEWS_STORED: &str = "page_views_stored";

/// The page views of these sessions, each once: in how many rows it came or is stored.
pub const PAGE_VIEWS_FORMS: &str = "page_views_forms";

/// The page views that came or are stored in several rows, each in its newest form.
pub const PAGE_VIEWS_REPEATED: &str = "page_views_repeated";

/// The number of each page view in its session, and how many there are.
pub const PAGE_VIEWS_NUMBERS: &str = "page_views_numbers";

/// Which of these sessions production has otherwise, and how many page views they have: what the commit writes there.
pub const PAGE_VIEWS_CHANGED: &str = "page_views_changed";

/// Every page view of these sessions, numbered: a view of where they came to or are stored.
pub const PAGE_VIEWS_THIS_RUN: &str = "page_views_this_run";

/// The metadata of this run, one row. `run_end_tstamp` is NULL until the commit. Its seals say how many rows came, how
/// many production had and how many sessions change, by the transactions that read them, and which page views were numbered:
/// the commit finds out by them whether the tables are still those that this run has made.
pub const PAGE_VIEWS_METADATA_THIS_RUN: &str = "page_views_metadata_this_run";

/// Session and time of production's rows of these sessions. Looked up once.
pub const PAGE_VIEWS_UPSERT_KEYS: &str = "page_views_upsert_keys";

/// From where on production is looked through, if that ends somewhere.
pub const PAGE_VIEWS_UPSERT_LIMIT: &str = "page_views_upsert_limit";

/// The newest time of each user's table that a committed run has seen.
pub const PAGE_VIEWS_SOURCE_SEEN: &str = "page_views_source_seen";

/// The newest time of the user's table that this run sees.
pub const PAGE_VIEWS_SOURCE_NEWEST: &str = "page_views_source_newest";

/// From where on this run reads the user's table.
pub const PAGE_VIEWS_SOURCE_LIMIT: &str = "page_views_source_limit";

/// All tables of this module under some variables: those that stay first, and a view before what it reads.
pub(super) fn tables(variables: &Variables) -> Vec<Table> {
    let staged = page_views_staged(variables);
    let columns = staged.columns.clone();
    let by_session = || Layout::NONE.distribute("domain_sessionid").sort("domain_sessionid");
    let scratch = |name, columns| Table::new(name, SchemaRole::Scratch, Lifetime::Module, columns);
    let sessions = || vec![Column::new("domain_sessionid", Varying(128)), Column::new("start_tstamp", Timestamp)];
    let page_views = |others: &[Column]| {
        let keys = [Column::new("domain_sessionid", Varying(128)), Column::new("page_view_id", Fixed(36))];
        [&keys[..], others, &[Column::new("start_tstamp", Timestamp)]].concat()
    };
    let numbers = [
        page_views(&[Column::new("repeated", Boolean)]),
        vec![Column::new("number", BigInteger), Column::new("number_of_all", BigInteger)],
    ]
    .concat();
    let seals = ["input_rows", "key_rows", "stored_rows", "changed_rows", "page_views_checksum"]
        .map(|seal| Column::new(seal, BigInteger))
        .to_vec();
    let by_page_view = || by_session().joined(&["domain_sessionid", "page_view_id"]);
    let seen = || vec![Column::new("source", Text), Column::new("newest", Timestamp)];
    let mut tables = vec![
        Table::new(PAGE_VIEWS, SchemaRole::Output, Lifetime::Persistent, columns.clone()).layout(
            Layout::NONE
                .distribute("domain_sessionid")
                .sort("start_tstamp")
                .partition("start_tstamp")
                .index("domain_sessionid")
                .cluster(&["domain_sessionid", "user_id", "domain_userid"]),
        ),
        staged,
    ];
    if variables.page_views_time.is_some() {
        tables.extend([
            Table::new(PAGE_VIEWS_SOURCE_SEEN, SchemaRole::Scratch, Lifetime::Persistent, seen()),
            scratch(PAGE_VIEWS_SOURCE_NEWEST, seen()),
            scratch(PAGE_VIEWS_SOURCE_LIMIT, vec![Column::new("lower_limit", Timestamp)]),
        ]);
    }
    tables.extend([
        scratch(PAGE_VIEWS_THIS_RUN, columns.clone()).view(),
        scratch(PAGE_VIEWS_ARRIVED, columns.iter().map(arrived).collect()).layout(by_page_view()),
        scratch(PAGE_VIEWS_NEW, page_views(&[Column::new("copies", BigInteger)])).layout(by_page_view()),
        scratch(PAGE_VIEWS_SESSIONS, sessions()).layout(by_session().joined(&["domain_sessionid"])),
        scratch(PAGE_VIEWS_UPSERT_KEYS, sessions()).layout(by_session().joined(&["domain_sessionid", "start_tstamp"])),
        scratch(PAGE_VIEWS_UPSERT_LIMIT, vec![Column::new("lower_limit", Timestamp)]),
        scratch(PAGE_VIEWS_STORED, columns.clone()).layout(by_page_view()),
        scratch(PAGE_VIEWS_FORMS, page_views(&[Column::new("forms", BigInteger)])).layout(by_session().joined(&[
            "domain_sessionid",
            "page_view_id",
            "forms",
        ])),
        scratch(PAGE_VIEWS_REPEATED, columns).layout(by_session()),
        scratch(PAGE_VIEWS_NUMBERS, numbers).layout(by_page_view()),
        scratch(
            PAGE_VIEWS_CHANGED,
            vec![Column::new("domain_sessionid", Varying(128)), Column::new("page_views", BigInteger)],
        )
        .layout(by_session().joined(&["domain_sessionid"])),
        scratch(
            PAGE_VIEWS_METADATA_THIS_RUN,
            [vec![Column::new("id", Varying(64))], metadata_columns(), seals].concat(),
        ),
    ]);
    tables
}

/// The columns that a page view can't be known without.
const NEEDED: [&str; 3] = ["page_view_id", "domain_sessionid", "start_tstamp"];

/// A column of what comes: a row without a value that it needs is left out and counted, and not refused.
fn arrived(column: &Column) -> Column {
    Column { not_null: false, required: NEEDED.contains(&&*column.name), ..column.clone() }
}
