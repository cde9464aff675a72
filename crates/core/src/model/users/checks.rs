//! The tests of this module's data, and whether it agrees with the sessions.

use super::tables::*;
use crate::model::Check;
use crate::model::select::sql;
use crate::model::shared::DATAMODEL_METADATA;

pub(super) const CHECKS: &[Check] = &[
    Check::new("users_keys", "every user has an id and a start", USERS, sql!("checks/user_keys")),
    Check::new("users_unique", "every user has one row", USERS, sql!("checks/key_unique"))
        .with(&[("key", "domain_userid")]),
    Check::new(
        "users_times",
        "no user ends before it starts or was engaged for less than no time",
        USERS,
        sql!("checks/row_times"),
    )
    .with(&[("key", "domain_userid")]),
    Check::new(
        "users_counts",
        "every user has a session, and every session a page view",
        USERS,
        sql!("checks/user_counts"),
    ),
    Check::new(
        "users_as_sessions",
        "start, end, sessions, page views and engaged time of a user are those of its sessions",
        USERS,
        sql!("checks/users_as_sessions"),
    )
    .of_written()
    .reads(&[SESSIONS, SESSIONS_USERID_MANIFEST_STAGED]),
    Check::new(
        "users_of_sessions",
        "every user of sessions that waits for no run has a row",
        USERS,
        sql!("checks/users_of_sessions"),
    )
    .of_written()
    .reads(&[SESSIONS, SESSIONS_USERID_MANIFEST_STAGED]),
    Check::new("users_without_sessions", "every user has a session", USERS, sql!("checks/users_without_sessions"))
        .of_written()
        .reads(&[SESSIONS, SESSIONS_USERID_MANIFEST_STAGED]),
    Check::new("users_of_runs", "production has no users that no run has written", USERS, sql!("checks/of_runs"))
        .reads(&[DATAMODEL_METADATA])
        .with(&[("module", "users"), ("key", "domain_userid")]),
    Check::new(
        "users_of_last_run",
        "production has the users that the last run has written",
        USERS,
        sql!("checks/of_last_run"),
    )
    .of_written()
    .reads(&[DATAMODEL_METADATA])
    .with(&[("module", "users"), ("key", "domain_userid")]),
    Check::new(
        "users_manifest_unique",
        "every user is remembered once, with the start of a session",
        USERS_MANIFEST,
        sql!("checks/manifest_unique"),
    ),
    Check::new(
        "users_remembered",
        "every user that waits for no run is remembered, since its start or before",
        USERS_MANIFEST,
        sql!("checks/users_remembered"),
    )
    .reads(&[USERS, SESSIONS_USERID_MANIFEST_STAGED]),
];
