//! Every table of the users module: its columns in order, where it lives, how long it lives and how it is laid out.

use crate::model::sessions::tables::{
    sessions, sessions_columns, sessions_userid_manifest_read, sessions_userid_manifest_staged, visit_columns,
};
use crate::model::shared::metadata_columns;
use crate::own_columns::OwnColumns;
use crate::table::ColumnType::*;
use crate::table::{Column, Layout, Lifetime, SchemaRole, Table};
use crate::variables::Variables;

pub use crate::model::sessions::tables::{SESSIONS, SESSIONS_USERID_MANIFEST_READ, SESSIONS_USERID_MANIFEST_STAGED};

/// Production: one row a user.
pub const USERS: &str = "users";

/// Who was seen, and since when. Nothing is computed from it but the earliest start that is known.
pub const USERS_MANIFEST: &str = "users_manifest";

/// Which of the permanent tables were made by a main that has not been completed: the manifest then gets its first row,
/// and every user of `sessions` counts as staged.
pub const USERS_TABLES_MADE: &str = "users_tables_made";

/// The metadata of this run, one row. `run_end_tstamp` is NULL until the commit. Its checksums seal what main read and what
/// it computed.
pub const USERS_METADATA_THIS_RUN: &str = "users_metadata_this_run";

/// The sessions of the users of this run: a view, for SQL that comes between main and complete.
pub const USERS_SESSIONS_THIS_RUN: &str = "users_sessions_this_run";

/// The users of this run, with the earliest start that is known of each.
pub const USERS_USERIDS_THIS_RUN: &str = "users_userids_this_run";

/// The first and the last of these starts: for information.
pub const USERS_LIMITS: &str = "users_limits";

/// The users of this run, with the columns of production.
pub const USERS_THIS_RUN: &str = "users_this_run";

/// All tables of this module under some variables: those that stay first, and a view before what it reads.
pub(super) fn tables(variables: &Variables) -> Vec<Table> {
    let own = &variables.columns;
    let mut sessions = sessions(variables);
    // All sessions of the users of a run are looked up by it.
    sessions.layout.index = Some("domain_userid");
    let mut read = sessions_userid_manifest_read();
    read.lifetime = Lifetime::Module;
    let by_user = || Layout::NONE.distribute("domain_userid").sort("domain_userid");
    let userids = || vec![Column::new("domain_userid", Varying(128)), Column::new("start_tstamp", Timestamp)];
    let output = |name, columns| Table::new(name, SchemaRole::Output, Lifetime::Persistent, columns);
    let scratch = |name, columns| Table::new(name, SchemaRole::Scratch, Lifetime::Module, columns);
    vec![
        sessions_userid_manifest_staged(),
        sessions,
        output(USERS, users_columns(own, Integer)).layout(
            Layout::NONE
                .distribute("domain_userid")
                .sort("start_tstamp")
                .partition("start_tstamp")
                .index("domain_userid")
                .cluster(&["user_id", "domain_userid"]),
        ),
        output(USERS_MANIFEST, userids()).layout(
            Layout::NONE
                .distribute("domain_userid")
                .sort("start_tstamp")
                .partition("start_tstamp")
                .index("domain_userid")
                .cluster(&["domain_userid"]),
        ),
        Table::new(
            USERS_TABLES_MADE,
            SchemaRole::Scratch,
            Lifetime::Persistent,
            vec![Column::new("table_name", Varying(64))],
        ),
        scratch(USERS_SESSIONS_THIS_RUN, sessions_columns(own)).view(),
        read,
        scratch(USERS_USERIDS_THIS_RUN, userids()).layout(by_user().joined(&["domain_userid"])),
        scratch(USERS_LIMITS, vec![Column::new("lower_limit", Timestamp), Column::new("upper_limit", Timestamp)]),
        scratch(USERS_THIS_RUN, users_columns(own, BigInteger))
            .layout(Layout::NONE.distribute("domain_userid").sort("start_tstamp").joined(&["domain_userid"])),
        scratch(USERS_METADATA_THIS_RUN, users_metadata_this_run_columns()),
    ]
}

/// The columns of production, with the type of its sums.
fn users_columns(own: &OwnColumns, sum: crate::table::ColumnType) -> Vec<Column> {
    let columns = [
        vec![
            Column::new("user_id", Varying(255)),
            Column::new("domain_userid", Varying(128)),
            Column::new("network_userid", Varying(128)),
            Column::new("start_tstamp", Timestamp),
            Column::new("end_tstamp", Timestamp),
            Column::new("page_views", sum),
            Column::new("sessions", sum),
            Column::new("engaged_time_in_s", sum),
        ],
        visit_columns(),
    ];
    own.of_users(columns.concat())
}

fn users_metadata_this_run_columns() -> Vec<Column> {
    let seals = vec![Column::new("userids_checksum", BigInteger), Column::new("users_checksum", BigInteger)];
    [vec![Column::new("id", Varying(64))], metadata_columns(), seals].concat()
}
