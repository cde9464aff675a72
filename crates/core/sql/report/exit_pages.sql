-- The pages that sessions end on, by day: the twenty with the most sessions.
WITH dated AS (
  SELECT
    {{ day("start_tstamp") }} AS session_day,
    COALESCE(last_page_urlhost, '') || COALESCE(last_page_urlpath, '') AS name,
    last_page_title AS title,
    page_views
  FROM {{ table.sessions }}
)
