//! The tests of this module's data, and whether the sessions agree with it.

use super::tables::*;
use crate::model::Check;
use crate::model::select::sql;
use crate::model::sessions::tables::SESSIONS;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "page_views_keys",
        "every page view has an id, a session and a start",
        PAGE_VIEWS,
        sql!("checks/page_view_keys"),
    ),
    Check::new(
        "page_views_unique",
        "every page view stands in its session once",
        PAGE_VIEWS,
        sql!("checks/page_view_unique"),
    ),
    Check::new(
        "page_views_times",
        "no page view ends before it starts or was engaged for less than no time",
        PAGE_VIEWS,
        sql!("checks/row_times"),
    )
    .with(&[("key", "page_view_id,\n  domain_sessionid")]),
    Check::new(
        "page_views_indexes",
        "the page views of a session are numbered 1, 2, 3 and so on",
        PAGE_VIEWS,
        sql!("checks/page_view_indexes"),
    ),
    Check::new(
        "page_views_order",
        "a page view that starts later has a higher index",
        PAGE_VIEWS,
        sql!("checks/page_view_order"),
    ),
    Check::new(
        "page_views_counts",
        "every page view says how many its session has",
        PAGE_VIEWS,
        sql!("checks/page_view_counts"),
    ),
    Check::new(
        "sessions_of_page_views",
        "every page view that waits for no run has its session",
        PAGE_VIEWS,
        sql!("checks/sessions_of_page_views"),
    )
    .reads(&[PAGE_VIEWS_STAGED, SESSIONS]),
    Check::new(
        "sessions_as_page_views",
        "start, end, page views and engaged time of a session are those of its page views",
        PAGE_VIEWS,
        sql!("checks/sessions_as_page_views"),
    )
    .reads(&[PAGE_VIEWS_STAGED, SESSIONS]),
    Check::new(
        "sessions_without_page_views",
        "every session since the first page view has page views",
        PAGE_VIEWS,
        sql!("checks/sessions_without_page_views"),
    )
    .reads(&[SESSIONS])
    .warns(),
];
