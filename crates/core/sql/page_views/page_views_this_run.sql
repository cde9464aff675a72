-- Every page view of each session that has an arrival, each in its newest form, whether that arrived or was stored.
WITH forms AS (
  SELECT
  {{ columns.page_views }}
  FROM {{ table.page_views_new }}
  UNION ALL
  SELECT
  {{ columns.page_views }}
  FROM {{ table.page_views_stored }}
),
ranked AS (
  SELECT
  {{ columns.page_views }},
  ROW_NUMBER() OVER (
    PARTITION BY domain_sessionid, {{ fixed_text("page_view_id") }}
    ORDER BY
      {{ largest_first("page_views", ["end_tstamp", "engaged_time_in_s"], ["page_view_in_session_index", "page_views_in_session"]) }}
  ) AS form
  FROM forms
),
numbers AS (
  SELECT
  {{ columns.page_views }},
  ROW_NUMBER() OVER (PARTITION BY domain_sessionid ORDER BY start_tstamp, {{ fixed_text("page_view_id") }}) AS number,
  COUNT(*) OVER (PARTITION BY domain_sessionid) AS number_of_all
  FROM ranked
  WHERE form = 1
)
SELECT
  {{ columns_with("page_views", page_view_in_session_index="CAST(number AS " ~ type.integer ~ ")", page_views_in_session="CAST(number_of_all AS " ~ type.integer ~ ")") }}
FROM numbers
