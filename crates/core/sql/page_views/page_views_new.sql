-- One row a page view of what arrived, in its newest form, and in how many copies it came. A page view is known by its
-- session and its id: an id can outlive a session.
WITH arrived AS (
  SELECT
  {{ columns_with("page_views_arrived", end_tstamp="COALESCE(end_tstamp, start_tstamp)") }}
  FROM {{ table.page_views_arrived }}
  WHERE {{ fixed_text("page_view_id") }} <> ''
    AND domain_sessionid <> ''
    AND start_tstamp IS NOT NULL
),
forms AS (
  SELECT
  {{ columns.page_views_arrived }},
  COUNT(*) OVER (PARTITION BY domain_sessionid, {{ fixed_text("page_view_id") }}) AS copies,
  ROW_NUMBER() OVER (
    PARTITION BY domain_sessionid, {{ fixed_text("page_view_id") }}
    ORDER BY
      {{ largest_first("page_views_arrived", ["end_tstamp", "engaged_time_in_s"], ["page_view_in_session_index", "page_views_in_session"]) }}
  ) AS form
  FROM arrived
)
SELECT
  {{ columns.page_views_new }}
FROM forms
WHERE form = 1
