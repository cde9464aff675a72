SELECT
  COUNT(*) AS session_rows,
  SUM(page_views) AS page_views,
  COUNT(DISTINCT domain_userid) AS users,
  MIN(start_tstamp) AS first_start,
  MAX(start_tstamp) AS last_start
FROM {{ table.sessions_this_run }}
