-- The pages that sessions begin on, by day: the twenty with the most sessions.
WITH dated AS (
  SELECT
    {{ day("start_tstamp") }} AS session_day,
    COALESCE(first_page_urlhost, '') || COALESCE(first_page_urlpath, '') AS name,
    first_page_title AS title,
    page_views
  FROM {{ table.sessions }}
)
