-- Page views of several rows, each in its newest form, whether that came or was stored. All others need no comparison, and no
-- sort of wide rows.
WITH several AS (
  SELECT
    domain_sessionid AS session_id,
    page_view_id AS id
  FROM {{ table.page_views_forms }}
  WHERE forms > 1
),
forms AS (
  SELECT
  {{ columns_with("page_views_repeated", end_tstamp="COALESCE(end_tstamp, start_tstamp)") }}
  FROM {{ table.page_views_arrived }}
  INNER JOIN several
    ON session_id = domain_sessionid
    AND id = {{ fixed_text("page_view_id") }}
  WHERE start_tstamp IS NOT NULL
  UNION ALL
  SELECT
  {{ columns.page_views_repeated }}
  FROM {{ table.page_views_stored }}
  INNER JOIN several
    ON session_id = domain_sessionid
    AND id = {{ fixed_text("page_view_id") }}
),
ranked AS (
  SELECT
  {{ columns.page_views_repeated }},
  ROW_NUMBER() OVER (
    PARTITION BY domain_sessionid, {{ fixed_text("page_view_id") }}
    ORDER BY
      {{ largest_first("page_views_repeated", ["end_tstamp", "engaged_time_in_s"], ["page_view_in_session_index", "page_views_in_session"]) }}
  ) AS form
  FROM forms
)
SELECT
  {{ columns.page_views_repeated }}
FROM ranked
WHERE form = 1
