//! Every table of the sessions module: its columns in order, where it lives, how long it lives and how it is laid out.
//! The one place where these stand; SQL files name columns only where a `SELECT` computes them.

use crate::model::shared::metadata_columns;
use crate::own_columns::OwnColumns;
use crate::table::ColumnType::*;
use crate::table::{Column, Layout, Lifetime, SchemaRole, Table};
use crate::variables::Variables;

/// The input: one row a page view, written by the page views module or by `load`.
pub const PAGE_VIEWS_STAGED: &str = "page_views_staged";

/// Production: one row a session.
pub const SESSIONS: &str = "sessions";

/// What the next module reads: the users of the sessions that changed.
pub const SESSIONS_USERID_MANIFEST_STAGED: &str = "sessions_userid_manifest_staged";

/// Which of the staged users the next module has read, and no run has staged again since: those that its complete removes.
/// The next module makes it; a run that stages users takes them out of it, if it is there.
pub const SESSIONS_USERID_MANIFEST_READ: &str = "sessions_userid_manifest_read";

/// The metadata of this run, one row. `run_end_tstamp` is NULL until the commit: that is how `complete` knows
/// whether what main read has reached production. Its checksums seal what main read and what it computed: a commit, and a
/// removal, find out by them whether these are still the tables that this run has made.
pub const SESSIONS_METADATA_THIS_RUN: &str = "sessions_metadata_this_run";

/// What main read of the input: how often each row, by a fingerprint of the columns that the module reads. `complete` removes
/// these rows and no others.
pub const SESSIONS_INPUT_THIS_RUN: &str = "sessions_input_this_run";

/// Copies of rows that main read which were staged since, just as they were.
pub const SESSIONS_INPUT_KEPT: &str = "sessions_input_kept";

/// Per session: start, end, page views, engaged time, and the first start of a page view of index 1.
pub const SESSIONS_AGGREGATES: &str = "sessions_aggregates";

/// The sessions of this run, with the columns of production.
pub const SESSIONS_THIS_RUN: &str = "sessions_this_run";

/// Which rows this run writes, where [`SESSIONS_THIS_RUN`] is a view of production: what is decided by before the commit.
pub const SESSIONS_KEYS_THIS_RUN: &str = "sessions_keys_this_run";

/// The users of this run, with the start of their first session in it.
pub const SESSIONS_USERID_MANIFEST_THIS_RUN: &str = "sessions_userid_manifest_this_run";

/// Production's rows of this run's sessions: what the upsert replaces. Looked up once, before the commit, from
/// [`SESSIONS_UPSERT_LIMIT`] on.
pub const SESSIONS_UPSERT_KEYS: &str = "sessions_upsert_keys";

/// From where on production is looked through for these.
pub const SESSIONS_UPSERT_LIMIT: &str = "sessions_upsert_limit";

/// All tables of this module under some variables: those that stay first.
pub(super) fn tables(variables: &Variables) -> Vec<Table> {
    let own = &variables.columns;
    vec![
        page_views_staged(variables),
        sessions(variables),
        sessions_userid_manifest_staged(),
        sessions_userid_manifest_read(),
        Table::new(
            SESSIONS_METADATA_THIS_RUN,
            SchemaRole::Scratch,
            Lifetime::Module,
            sessions_metadata_this_run_columns(),
        ),
        Table::new(
            SESSIONS_INPUT_THIS_RUN,
            SchemaRole::Scratch,
            Lifetime::Module,
            vec![Column::new("fingerprint", BigInteger), Column::new("row_count", BigInteger)],
        )
        .layout(Layout::NONE.joined(&["fingerprint"])),
        Table::new(SESSIONS_INPUT_KEPT, SchemaRole::Scratch, Lifetime::Module, page_views_staged_columns(own)),
        Table::new(
            SESSIONS_AGGREGATES,
            SchemaRole::Scratch,
            Lifetime::Module,
            own.aggregated(vec![
                Column::new("domain_sessionid", Varying(128)),
                Column::new("start_tstamp", Timestamp),
                Column::new("end_tstamp", Timestamp),
                Column::new("page_views", Integer),
                Column::new("engaged_time_in_s", Integer),
                Column::new("first_view_tstamp", Timestamp),
            ]),
        )
        .layout(
            Layout::NONE
                .distribute("domain_sessionid")
                .sort("domain_sessionid")
                .joined(&["domain_sessionid", "start_tstamp"]),
        ),
        Table::new(SESSIONS_THIS_RUN, SchemaRole::Scratch, Lifetime::Module, sessions_columns(own)).layout(
            Layout::NONE
                .distribute("domain_sessionid")
                .sort("start_tstamp")
                .cluster(&["domain_userid", "domain_sessionid"])
                .joined(&["domain_sessionid", "start_tstamp", "domain_userid"]),
        ),
        Table::new(
            SESSIONS_KEYS_THIS_RUN,
            SchemaRole::Scratch,
            Lifetime::Module,
            vec![
                Column::new("domain_sessionid", Varying(128)),
                Column::new("start_tstamp", Timestamp),
                Column::new("domain_userid", Varying(128)),
                Column::new("page_views", Integer),
            ],
        )
        .keys_of(SESSIONS_THIS_RUN),
        Table::new(
            SESSIONS_USERID_MANIFEST_THIS_RUN,
            SchemaRole::Scratch,
            Lifetime::Module,
            sessions_userid_manifest_staged_columns(),
        )
        .layout(
            Layout::NONE.distribute("domain_userid").sort("domain_userid").joined(&["domain_userid", "start_tstamp"]),
        ),
        Table::new(
            SESSIONS_UPSERT_KEYS,
            SchemaRole::Scratch,
            Lifetime::Module,
            vec![
                Column::new("domain_sessionid", Varying(128)),
                Column::new("start_tstamp", Timestamp),
                Column::new("page_views", Integer),
            ],
        )
        .layout(
            Layout::NONE
                .distribute("domain_sessionid")
                .sort("domain_sessionid")
                .joined(&["domain_sessionid", "start_tstamp"]),
        ),
        Table::new(
            SESSIONS_UPSERT_LIMIT,
            SchemaRole::Scratch,
            Lifetime::Module,
            vec![Column::new("lower_limit", Timestamp)],
        ),
    ]
}

/// The input, which the page views module hands on.
pub(in crate::model) fn page_views_staged(variables: &Variables) -> Table {
    let columns = page_views_staged_columns(&variables.columns);
    Table::new(PAGE_VIEWS_STAGED, SchemaRole::Scratch, Lifetime::Persistent, columns).shared().layout(
        Layout::NONE.joined(&["domain_userid", "domain_sessionid", "page_view_in_session_index", "start_tstamp"]),
    )
}

/// Production, which the users module reads.
pub(in crate::model) fn sessions(variables: &Variables) -> Table {
    Table::new(SESSIONS, SchemaRole::Output, Lifetime::Persistent, sessions_columns(&variables.columns)).layout(
        Layout::NONE
            .distribute("domain_sessionid")
            .sort("start_tstamp")
            .partition("start_tstamp")
            .index("domain_sessionid")
            .cluster(&["domain_sessionid", "user_id", "domain_userid"]),
    )
}

/// What the users module consumes.
pub(in crate::model) fn sessions_userid_manifest_staged() -> Table {
    Table::new(
        SESSIONS_USERID_MANIFEST_STAGED,
        SchemaRole::Scratch,
        Lifetime::Persistent,
        sessions_userid_manifest_staged_columns(),
    )
    .layout(Layout::NONE.distribute("domain_userid").sort("domain_userid").partition("start_tstamp"))
}

/// What the users module has read of it.
pub(in crate::model) fn sessions_userid_manifest_read() -> Table {
    let columns = [sessions_userid_manifest_staged_columns(), vec![Column::new("fingerprint", BigInteger)]].concat();
    Table::new(SESSIONS_USERID_MANIFEST_READ, SchemaRole::Scratch, Lifetime::Persistent, columns)
        .layout(Layout::NONE.distribute("domain_userid").sort("domain_userid"))
}

/// The columns of a page's address, by what their names begin with.
fn page_columns(prefix: &str) -> Vec<Column> {
    let parts = [
        ("title", 2000),
        ("url", 4096),
        ("urlscheme", 16),
        ("urlhost", 255),
        ("urlpath", 3000),
        ("urlquery", 6000),
        ("urlfragment", 3000),
    ];
    parts.map(|(part, length)| Column::named(format!("{prefix}_{part}").into(), Varying(length))).to_vec()
}

/// The columns of where a session came from; the first is the whole address.
fn referrer_columns(whole: &'static str) -> Vec<Column> {
    vec![
        Column::new(whole, Varying(4096)),
        Column::new("refr_urlscheme", Varying(16)),
        Column::new("refr_urlhost", Varying(255)),
        Column::new("refr_urlpath", Varying(6000)),
        Column::new("refr_urlquery", Varying(6000)),
        Column::new("refr_urlfragment", Varying(3000)),
        Column::new("refr_medium", Varying(25)),
        Column::new("refr_source", Varying(50)),
        Column::new("refr_term", Varying(255)),
    ]
}

/// The columns of the campaign that a session is of.
fn marketing_columns() -> Vec<Column> {
    vec![
        Column::new("mkt_medium", Varying(255)),
        Column::new("mkt_source", Varying(255)),
        Column::new("mkt_term", Varying(255)),
        Column::new("mkt_content", Varying(500)),
        Column::new("mkt_campaign", Varying(255)),
        Column::new("mkt_clickid", Varying(128)),
        Column::new("mkt_network", Varying(64)),
    ]
}

/// The columns of a first and a last page, and of where the first was come to from.
pub(in crate::model) fn visit_columns() -> Vec<Column> {
    [page_columns("first_page"), page_columns("last_page"), referrer_columns("referrer"), marketing_columns()].concat()
}

/// The columns of where and by what a page was viewed.
fn place_columns() -> Vec<Column> {
    vec![
        Column::new("geo_country", Fixed(2)),
        Column::new("geo_region", Fixed(3)),
        Column::new("geo_region_name", Varying(100)),
        Column::new("geo_city", Varying(75)),
        Column::new("geo_zipcode", Varying(15)),
        Column::new("geo_latitude", Float),
        Column::new("geo_longitude", Float),
        Column::new("geo_timezone", Varying(64)),
        Column::new("user_ipaddress", Varying(128)),
        Column::new("useragent", Varying(1000)),
    ]
}

/// The columns of what is known of a user agent.
fn agent_columns() -> Vec<Column> {
    vec![
        Column::new("category", Text),
        Column::new("primary_impact", Text),
        Column::new("reason", Text),
        Column::new("spider_or_robot", Boolean),
        Column::new("useragent_family", Text),
        Column::new("useragent_major", Text),
        Column::new("useragent_minor", Text),
        Column::new("useragent_patch", Text),
        Column::new("useragent_version", Text),
        Column::new("os_family", Text),
        Column::new("os_major", Text),
        Column::new("os_minor", Text),
        Column::new("os_patch", Text),
        Column::new("os_patch_minor", Text),
        Column::new("os_version", Text),
        Column::new("device_family", Text),
        Column::new("device_class", Text),
        Column::new("agent_class", Text),
        Column::new("agent_name", Text),
        Column::new("agent_name_version", Text),
        Column::new("agent_name_version_major", Text),
        Column::new("agent_version", Text),
        Column::new("agent_version_major", Text),
        Column::new("device_brand", Text),
        Column::new("device_name", Text),
        Column::new("device_version", Text),
        Column::new("layout_engine_class", Text),
        Column::new("layout_engine_name", Text),
        Column::new("layout_engine_name_version", Text),
        Column::new("layout_engine_name_version_major", Text),
        Column::new("layout_engine_version", Text),
        Column::new("layout_engine_version_major", Text),
        Column::new("operating_system_class", Text),
        Column::new("operating_system_name", Text),
        Column::new("operating_system_name_version", Text),
        Column::new("operating_system_version", Text),
    ]
}

/// Those that nothing in the module's SQL reads are marked: a test compares.
fn page_views_staged_columns(own: &OwnColumns) -> Vec<Column> {
    let columns = [
        vec![
            Column::new("page_view_id", Fixed(36)).not_null().required(),
            Column::new("event_id", Fixed(36)).unread(),
            Column::new("app_id", Varying(255)),
            Column::new("user_id", Varying(255)),
            Column::new("domain_userid", Varying(128)),
            Column::new("network_userid", Varying(128)),
            Column::new("domain_sessionid", Varying(128)).required(),
            Column::new("domain_sessionidx", Integer),
            Column::new("page_view_in_session_index", Integer).required(),
            Column::new("page_views_in_session", Integer).unread(),
            Column::new("dvce_created_tstamp", Timestamp).unread(),
            Column::new("collector_tstamp", Timestamp).unread(),
            Column::new("derived_tstamp", Timestamp).unread(),
            Column::new("start_tstamp", Timestamp).required(),
            Column::new("end_tstamp", Timestamp).required(),
            Column::new("engaged_time_in_s", Integer),
            Column::new("absolute_time_in_s", Integer).unread(),
            Column::new("horizontal_pixels_scrolled", Integer).unread(),
            Column::new("vertical_pixels_scrolled", Integer).unread(),
            Column::new("horizontal_percentage_scrolled", Float).unread(),
            Column::new("vertical_percentage_scrolled", Float).unread(),
            Column::new("doc_width", Integer).unread(),
            Column::new("doc_height", Integer).unread(),
        ],
        page_columns("page"),
        marketing_columns(),
        referrer_columns("page_referrer"),
        place_columns(),
        vec![
            Column::new("br_lang", Varying(255)),
            Column::new("br_viewwidth", Integer).unread(),
            Column::new("br_viewheight", Integer).unread(),
            Column::new("br_colordepth", Varying(12)).unread(),
            Column::new("br_renderengine", Varying(50)),
            Column::new("os_timezone", Varying(255)),
        ],
        agent_columns(),
    ];
    own.of_page_views(columns.concat())
}

pub(in crate::model) fn sessions_columns(own: &OwnColumns) -> Vec<Column> {
    let columns = [
        vec![
            Column::new("app_id", Varying(255)),
            Column::new("domain_sessionid", Varying(128)),
            Column::new("domain_sessionidx", Integer),
            Column::new("start_tstamp", Timestamp),
            Column::new("end_tstamp", Timestamp),
            Column::new("user_id", Varying(255)),
            Column::new("domain_userid", Varying(128)),
            Column::new("network_userid", Varying(128)),
            Column::new("page_views", Integer),
            Column::new("engaged_time_in_s", Integer),
            Column::new("absolute_time_in_s", Integer),
        ],
        visit_columns(),
        place_columns(),
        vec![
            Column::new("br_renderengine", Varying(50)),
            Column::new("br_lang", Varying(255)),
            Column::new("os_timezone", Varying(255)),
        ],
        agent_columns(),
    ];
    own.of_sessions(columns.concat())
}

fn sessions_metadata_this_run_columns() -> Vec<Column> {
    let seals = vec![Column::new("input_checksum", BigInteger), Column::new("sessions_checksum", BigInteger)];
    [vec![Column::new("id", Varying(64))], metadata_columns(), seals].concat()
}

fn sessions_userid_manifest_staged_columns() -> Vec<Column> {
    vec![Column::new("domain_userid", Varying(128)), Column::new("start_tstamp", Timestamp)]
}
