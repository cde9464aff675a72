//! Every table of the model: its columns in order, where it lives, how long it lives and how it is laid out.
//! The one place where these stand; SQL files name columns only where a `SELECT` computes them.

use ColumnType::*;

/// The type of a column, independent of the warehouse. A dialect spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ColumnType {
    /// Text of any length.
    Text,
    /// Text of at most so many bytes, where the warehouse bounds text.
    Varying(u16),
    /// Text of exactly so many bytes, padded where the warehouse pads.
    Fixed(u16),
    /// A whole number of at least 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInteger,
    /// A double-precision number.
    Float,
    /// True or false.
    Boolean,
    /// A point in time in UTC, without a time zone, to the microsecond.
    Timestamp,
}

/// What a column holds, sizes aside: what the drift check compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeFamily {
    /// Any text.
    Text,
    /// Any whole number.
    Integer,
    /// Any floating-point number.
    Float,
    /// True or false.
    Boolean,
    /// A timestamp without a time zone (BigQuery's `TIMESTAMP`, which is UTC, included).
    Timestamp,
}

impl ColumnType {
    /// The family that this type belongs to.
    pub fn family(self) -> TypeFamily {
        match self {
            Text | Varying(_) | Fixed(_) => TypeFamily::Text,
            Integer | BigInteger => TypeFamily::Integer,
            Float => TypeFamily::Float,
            Boolean => TypeFamily::Boolean,
            Timestamp => TypeFamily::Timestamp,
        }
    }
}

impl std::fmt::Display for TypeFamily {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            TypeFamily::Text => "text",
            TypeFamily::Integer => "integer",
            TypeFamily::Float => "floating point",
            TypeFamily::Boolean => "boolean",
            TypeFamily::Timestamp => "timestamp",
        })
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name, in lower case.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether NULL is refused.
    pub not_null: bool,
}

const fn column(name: &'static str, column_type: ColumnType) -> Column {
    Column { name, column_type, not_null: false }
}

const fn key(name: &'static str, column_type: ColumnType) -> Column {
    Column { name, column_type, not_null: true }
}

/// Which of the two configured schemas a table lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaRole {
    /// `scratch_schema`.
    Scratch,
    /// `output_schema`.
    Output,
}

/// How long a table lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Production data and the modules' interfaces: only `destroy` may drop them, or nothing does.
    Persistent,
    /// Shared by the modules of one run: dropped when a module says that it ends the run.
    Run,
    /// Made by this module for this run: dropped by `complete`, by `cleanup_mode`.
    Module,
}

/// Hints for the physical layout; a dialect uses those that its warehouse has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// The column by which rows are spread and joined.
    pub distribute: Option<&'static str>,
    /// The column by which rows are kept in order.
    pub sort: Option<&'static str>,
    /// The timestamp column by whose date the table is partitioned.
    pub partition: Option<&'static str>,
    /// The columns by which blocks are clustered, most important first.
    pub cluster: &'static [&'static str],
    /// The column by whose equality rows are found, where the warehouse has indexes.
    pub index: Option<&'static str>,
}

const NO_LAYOUT: Layout = Layout { distribute: None, sort: None, partition: None, cluster: &[], index: None };

/// A table of the model.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name without schema and entropy.
    pub name: &'static str,
    /// The schema it lives in.
    pub schema: SchemaRole,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// How it is laid out.
    pub layout: Layout,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// All tables of the model.
pub const TABLES: &[&Table] = &[
    &PAGE_VIEWS_STAGED,
    &SESSIONS,
    &DATAMODEL_METADATA,
    &METADATA_RUN_ID,
    &SESSIONS_USERID_MANIFEST_STAGED,
    &SESSIONS_METADATA_THIS_RUN,
    &SESSIONS_INPUT_THIS_RUN,
    &SESSIONS_INPUT_KEPT,
    &SESSIONS_AGGREGATES,
    &SESSIONS_THIS_RUN,
    &SESSIONS_USERID_MANIFEST_THIS_RUN,
    &SESSIONS_UPSERT_KEYS,
    &SESSIONS_UPSERT_LIMIT,
];

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().copied().find(|table| table.name == name)
}

/// The input: one row a page view, written by the page views module or by `load`.
pub const PAGE_VIEWS_STAGED: Table = Table {
    name: "page_views_staged",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Persistent,
    columns: PAGE_VIEWS_STAGED_COLUMNS,
    layout: NO_LAYOUT,
};

/// The columns of the input without which no session can be computed.
pub const REQUIRED_INPUT: &[&str] =
    &["page_view_id", "domain_sessionid", "page_view_in_session_index", "start_tstamp", "end_tstamp"];

/// Production: one row a session.
pub const SESSIONS: Table = Table {
    name: "sessions",
    schema: SchemaRole::Output,
    lifetime: Lifetime::Persistent,
    columns: SESSIONS_COLUMNS,
    layout: Layout {
        distribute: Some("domain_sessionid"),
        sort: Some("start_tstamp"),
        partition: Some("start_tstamp"),
        cluster: &["domain_sessionid", "user_id", "domain_userid"],
        index: Some("domain_sessionid"),
    },
};

/// One row for each commit of each module.
pub const DATAMODEL_METADATA: Table = Table {
    name: "datamodel_metadata",
    schema: SchemaRole::Output,
    lifetime: Lifetime::Persistent,
    columns: DATAMODEL_METADATA_COLUMNS,
    layout: NO_LAYOUT,
};

/// The identity of the run that all modules share.
pub const METADATA_RUN_ID: Table = Table {
    name: "metadata_run_id",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Run,
    columns: METADATA_RUN_ID_COLUMNS,
    layout: NO_LAYOUT,
};

/// What the next module reads: the users of the sessions that changed.
pub const SESSIONS_USERID_MANIFEST_STAGED: Table = Table {
    name: "sessions_userid_manifest_staged",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Persistent,
    columns: SESSIONS_USERID_MANIFEST_STAGED_COLUMNS,
    layout: Layout {
        distribute: Some("domain_userid"),
        sort: Some("domain_userid"),
        partition: Some("start_tstamp"),
        ..NO_LAYOUT
    },
};

/// The metadata of this run, one row. `run_end_tstamp` is NULL until the commit: that is how `complete` knows
/// whether what main read has reached production.
pub const SESSIONS_METADATA_THIS_RUN: Table = Table {
    name: "sessions_metadata_this_run",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: SESSIONS_METADATA_THIS_RUN_COLUMNS,
    layout: NO_LAYOUT,
};

/// What main read of the input: how often each row, by its fingerprint. `complete` removes these rows and no others.
pub const SESSIONS_INPUT_THIS_RUN: Table = Table {
    name: "sessions_input_this_run",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: &[column("fingerprint", BigInteger), column("row_count", BigInteger)],
    layout: NO_LAYOUT,
};

/// Rows that main read and that stay all the same, because their session got page views since.
pub const SESSIONS_INPUT_KEPT: Table = Table {
    name: "sessions_input_kept",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: PAGE_VIEWS_STAGED_COLUMNS,
    layout: NO_LAYOUT,
};

/// Per session: start, end, page views, engaged time.
pub const SESSIONS_AGGREGATES: Table = Table {
    name: "sessions_aggregates",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: &[
        column("domain_sessionid", Varying(128)),
        column("start_tstamp", Timestamp),
        column("end_tstamp", Timestamp),
        column("page_views", Integer),
        column("engaged_time_in_s", Integer),
    ],
    layout: Layout { distribute: Some("domain_sessionid"), sort: Some("domain_sessionid"), ..NO_LAYOUT },
};

/// The sessions of this run, with the columns of production.
pub const SESSIONS_THIS_RUN: Table = Table {
    name: "sessions_this_run",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: SESSIONS_COLUMNS,
    layout: Layout {
        distribute: Some("domain_sessionid"),
        sort: Some("start_tstamp"),
        cluster: &["domain_userid", "domain_sessionid"],
        ..NO_LAYOUT
    },
};

/// The users of this run, with the start of their first session in it.
pub const SESSIONS_USERID_MANIFEST_THIS_RUN: Table = Table {
    name: "sessions_userid_manifest_this_run",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: SESSIONS_USERID_MANIFEST_STAGED_COLUMNS,
    layout: Layout { distribute: Some("domain_userid"), sort: Some("domain_userid"), ..NO_LAYOUT },
};

/// Production's rows of this run's sessions: what the upsert replaces. Looked up once, before the commit.
pub const SESSIONS_UPSERT_KEYS: Table = Table {
    name: "sessions_upsert_keys",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: &[column("domain_sessionid", Varying(128)), column("start_tstamp", Timestamp)],
    layout: Layout { distribute: Some("domain_sessionid"), sort: Some("domain_sessionid"), ..NO_LAYOUT },
};

/// From where on the upsert looks for rows to replace.
pub const SESSIONS_UPSERT_LIMIT: Table = Table {
    name: "sessions_upsert_limit",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: &[column("lower_limit", Timestamp)],
    layout: NO_LAYOUT,
};

/// The lease of the run that holds these schemas and this entropy. It exists only while a run holds it, or died holding it.
pub const SESSIONS_LOCK: Table = Table {
    name: "sessions_lock",
    schema: SchemaRole::Scratch,
    lifetime: Lifetime::Module,
    columns: &[
        column("holder", Varying(64)),
        column("host", Varying(255)),
        column("acquired_tstamp", Timestamp),
        column("expires_tstamp", Timestamp),
        column("stopped_at", Varying(255)),
        column("done_before", Varying(64)),
    ],
    layout: NO_LAYOUT,
};

const PAGE_VIEWS_STAGED_COLUMNS: &[Column] = &[
    key("page_view_id", Fixed(36)),
    column("event_id", Fixed(36)),
    column("app_id", Varying(255)),
    column("user_id", Varying(255)),
    column("domain_userid", Varying(128)),
    column("network_userid", Varying(128)),
    column("domain_sessionid", Varying(128)),
    column("domain_sessionidx", Integer),
    column("page_view_in_session_index", Integer),
    column("page_views_in_session", Integer),
    column("dvce_created_tstamp", Timestamp),
    column("collector_tstamp", Timestamp),
    column("derived_tstamp", Timestamp),
    column("start_tstamp", Timestamp),
    column("end_tstamp", Timestamp),
    column("engaged_time_in_s", Integer),
    column("absolute_time_in_s", Integer),
    column("horizontal_pixels_scrolled", Integer),
    column("vertical_pixels_scrolled", Integer),
    column("horizontal_percentage_scrolled", Float),
    column("vertical_percentage_scrolled", Float),
    column("doc_width", Integer),
    column("doc_height", Integer),
    column("page_title", Varying(2000)),
    column("page_url", Varying(4096)),
    column("page_urlscheme", Varying(16)),
    column("page_urlhost", Varying(255)),
    column("page_urlpath", Varying(3000)),
    column("page_urlquery", Varying(6000)),
    column("page_urlfragment", Varying(3000)),
    column("mkt_medium", Varying(255)),
    column("mkt_source", Varying(255)),
    column("mkt_term", Varying(255)),
    column("mkt_content", Varying(500)),
    column("mkt_campaign", Varying(255)),
    column("mkt_clickid", Varying(128)),
    column("mkt_network", Varying(64)),
    column("page_referrer", Varying(4096)),
    column("refr_urlscheme", Varying(16)),
    column("refr_urlhost", Varying(255)),
    column("refr_urlpath", Varying(6000)),
    column("refr_urlquery", Varying(6000)),
    column("refr_urlfragment", Varying(3000)),
    column("refr_medium", Varying(25)),
    column("refr_source", Varying(50)),
    column("refr_term", Varying(255)),
    column("geo_country", Fixed(2)),
    column("geo_region", Fixed(3)),
    column("geo_region_name", Varying(100)),
    column("geo_city", Varying(75)),
    column("geo_zipcode", Varying(15)),
    column("geo_latitude", Float),
    column("geo_longitude", Float),
    column("geo_timezone", Varying(64)),
    column("user_ipaddress", Varying(128)),
    column("useragent", Varying(1000)),
    column("br_lang", Varying(255)),
    column("br_viewwidth", Integer),
    column("br_viewheight", Integer),
    column("br_colordepth", Varying(12)),
    column("br_renderengine", Varying(50)),
    column("os_timezone", Varying(255)),
    column("category", Text),
    column("primary_impact", Text),
    column("reason", Text),
    column("spider_or_robot", Boolean),
    column("useragent_family", Text),
    column("useragent_major", Text),
    column("useragent_minor", Text),
    column("useragent_patch", Text),
    column("useragent_version", Text),
    column("os_family", Text),
    column("os_major", Text),
    column("os_minor", Text),
    column("os_patch", Text),
    column("os_patch_minor", Text),
    column("os_version", Text),
    column("device_family", Text),
    column("device_class", Text),
    column("agent_class", Text),
    column("agent_name", Text),
    column("agent_name_version", Text),
    column("agent_name_version_major", Text),
    column("agent_version", Text),
    column("agent_version_major", Text),
    column("device_brand", Text),
    column("device_name", Text),
    column("device_version", Text),
    column("layout_engine_class", Text),
    column("layout_engine_name", Text),
    column("layout_engine_name_version", Text),
    column("layout_engine_name_version_major", Text),
    column("layout_engine_version", Text),
    column("layout_engine_version_major", Text),
    column("operating_system_class", Text),
    column("operating_system_name", Text),
    column("operating_system_name_version", Text),
    column("operating_system_version", Text),
];

const SESSIONS_COLUMNS: &[Column] = &[
    column("app_id", Varying(255)),
    column("domain_sessionid", Varying(128)),
    column("domain_sessionidx", Integer),
    column("start_tstamp", Timestamp),
    column("end_tstamp", Timestamp),
    column("user_id", Varying(255)),
    column("domain_userid", Varying(128)),
    column("network_userid", Varying(128)),
    column("page_views", Integer),
    column("engaged_time_in_s", Integer),
    column("absolute_time_in_s", Integer),
    column("first_page_title", Varying(2000)),
    column("first_page_url", Varying(4096)),
    column("first_page_urlscheme", Varying(16)),
    column("first_page_urlhost", Varying(255)),
    column("first_page_urlpath", Varying(3000)),
    column("first_page_urlquery", Varying(6000)),
    column("first_page_urlfragment", Varying(3000)),
    column("last_page_title", Varying(2000)),
    column("last_page_url", Varying(4096)),
    column("last_page_urlscheme", Varying(16)),
    column("last_page_urlhost", Varying(255)),
    column("last_page_urlpath", Varying(3000)),
    column("last_page_urlquery", Varying(6000)),
    column("last_page_urlfragment", Varying(3000)),
    column("referrer", Varying(4096)),
    column("refr_urlscheme", Varying(16)),
    column("refr_urlhost", Varying(255)),
    column("refr_urlpath", Varying(6000)),
    column("refr_urlquery", Varying(6000)),
    column("refr_urlfragment", Varying(3000)),
    column("refr_medium", Varying(25)),
    column("refr_source", Varying(50)),
    column("refr_term", Varying(255)),
    column("mkt_medium", Varying(255)),
    column("mkt_source", Varying(255)),
    column("mkt_term", Varying(255)),
    column("mkt_content", Varying(500)),
    column("mkt_campaign", Varying(255)),
    column("mkt_clickid", Varying(128)),
    column("mkt_network", Varying(64)),
    column("geo_country", Fixed(2)),
    column("geo_region", Fixed(3)),
    column("geo_region_name", Varying(100)),
    column("geo_city", Varying(75)),
    column("geo_zipcode", Varying(15)),
    column("geo_latitude", Float),
    column("geo_longitude", Float),
    column("geo_timezone", Varying(64)),
    column("user_ipaddress", Varying(128)),
    column("useragent", Varying(1000)),
    column("br_renderengine", Varying(50)),
    column("br_lang", Varying(255)),
    column("os_timezone", Varying(255)),
    column("category", Text),
    column("primary_impact", Text),
    column("reason", Text),
    column("spider_or_robot", Boolean),
    column("useragent_family", Text),
    column("useragent_major", Text),
    column("useragent_minor", Text),
    column("useragent_patch", Text),
    column("useragent_version", Text),
    column("os_family", Text),
    column("os_major", Text),
    column("os_minor", Text),
    column("os_patch", Text),
    column("os_patch_minor", Text),
    column("os_version", Text),
    column("device_family", Text),
    column("device_class", Text),
    column("agent_class", Text),
    column("agent_name", Text),
    column("agent_name_version", Text),
    column("agent_name_version_major", Text),
    column("agent_version", Text),
    column("agent_version_major", Text),
    column("device_brand", Text),
    column("device_name", Text),
    column("device_version", Text),
    column("layout_engine_class", Text),
    column("layout_engine_name", Text),
    column("layout_engine_name_version", Text),
    column("layout_engine_name_version_major", Text),
    column("layout_engine_version", Text),
    column("layout_engine_version_major", Text),
    column("operating_system_class", Text),
    column("operating_system_name", Text),
    column("operating_system_name_version", Text),
    column("operating_system_version", Text),
];

const DATAMODEL_METADATA_COLUMNS: &[Column] = &[
    column("run_id", Timestamp),
    column("model_version", Varying(64)),
    column("model", Varying(64)),
    column("module", Varying(64)),
    column("run_start_tstamp", Timestamp),
    column("run_end_tstamp", Timestamp),
    column("rows_this_run", Integer),
    column("distinct_key", Varying(64)),
    column("distinct_key_count", Integer),
    column("time_key", Varying(64)),
    column("min_time_key", Timestamp),
    column("max_time_key", Timestamp),
    column("duplicate_rows_removed", Integer),
    column("distinct_keys_removed", Integer),
];

const SESSIONS_METADATA_THIS_RUN_COLUMNS: &[Column] = &[
    column("id", Varying(64)),
    column("run_id", Timestamp),
    column("model_version", Varying(64)),
    column("model", Varying(64)),
    column("module", Varying(64)),
    column("run_start_tstamp", Timestamp),
    column("run_end_tstamp", Timestamp),
    column("rows_this_run", Integer),
    column("distinct_key", Varying(64)),
    column("distinct_key_count", Integer),
    column("time_key", Varying(64)),
    column("min_time_key", Timestamp),
    column("max_time_key", Timestamp),
    column("duplicate_rows_removed", Integer),
    column("distinct_keys_removed", Integer),
];

const METADATA_RUN_ID_COLUMNS: &[Column] = &[column("run_id", Timestamp)];

const SESSIONS_USERID_MANIFEST_STAGED_COLUMNS: &[Column] =
    &[column("domain_userid", Varying(128)), column("start_tstamp", Timestamp)];
