//! The tests of this module's data: of what it reads, what it writes, and what it hands on.

use super::tables::*;
use crate::model::Check;
use crate::model::select::sql;
use crate::model::shared::DATAMODEL_METADATA;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "staged_keys",
        "every staged page view has an id, a session and a start",
        PAGE_VIEWS_STAGED,
        sql!("checks/page_view_keys"),
    ),
    Check::new(
        "staged_unique",
        "every staged page view stands in its session once",
        PAGE_VIEWS_STAGED,
        sql!("checks/page_view_unique"),
    ),
    Check::new(
        "staged_times",
        "no staged page view ends before it starts or was engaged for less than no time",
        PAGE_VIEWS_STAGED,
        sql!("checks/row_times"),
    )
    .with(&[("key", "page_view_id,\n  domain_sessionid")]),
    Check::new(
        "staged_indexes",
        "the staged page views of a session are numbered 1, 2, 3 and so on",
        PAGE_VIEWS_STAGED,
        sql!("checks/page_view_indexes"),
    ),
    Check::new("sessions_keys", "every session has an id, a start and an end", SESSIONS, sql!("checks/session_keys")),
    Check::new("sessions_unique", "every session has one row", SESSIONS, sql!("checks/key_unique"))
        .with(&[("key", "domain_sessionid")]),
    Check::new(
        "sessions_times",
        "no session ends before it starts or was engaged for less than no time, and its time is that from start to end",
        SESSIONS,
        sql!("checks/session_times"),
    ),
    Check::new("sessions_page_views", "every session has a page view", SESSIONS, sql!("checks/session_page_views")),
    Check::new(
        "sessions_of_runs",
        "production has no sessions that no run has written",
        SESSIONS,
        sql!("checks/of_runs"),
    )
    .reads(&[DATAMODEL_METADATA])
    .with(&[("module", "sessions"), ("key", "domain_sessionid")]),
    Check::new(
        "sessions_of_last_run",
        "production has the sessions that the last run has written",
        SESSIONS,
        sql!("checks/of_last_run"),
    )
    .of_written()
    .reads(&[DATAMODEL_METADATA])
    .with(&[("module", "sessions"), ("key", "domain_sessionid")]),
    Check::new(
        "manifest_unique",
        "every user is staged once, with the start of a session",
        SESSIONS_USERID_MANIFEST_STAGED,
        sql!("checks/manifest_unique"),
    ),
    Check::new(
        "manifest_users",
        "every staged user has a session",
        SESSIONS_USERID_MANIFEST_STAGED,
        sql!("checks/manifest_users"),
    )
    .of_written()
    .reads(&[SESSIONS]),
];
