-- What sessions are made with, by day: the twenty with the most sessions.
WITH dated AS (
  SELECT
    {{ day("start_tstamp") }} AS session_day,
    COALESCE(NULLIF(device_class, ''), '') AS name,
    COALESCE(NULLIF(operating_system_class, ''), '') AS title,
    page_views
  FROM {{ table.sessions }}
)
