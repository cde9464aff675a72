-- What the page is about: one row, of the days that it shows.
WITH dated AS (
  SELECT {{ day("start_tstamp") }} AS session_day, domain_userid, page_views, engaged_time_in_s
  FROM {{ table.sessions }}
)

SELECT
  MIN(session_day) AS first_day,
  MAX(session_day) AS last_day,
  COUNT(*) AS session_count,
  COUNT(DISTINCT domain_userid) AS user_count,
  SUM(page_views) AS page_views,
  SUM(engaged_time_in_s) AS engaged_time_in_s,
  (SELECT COUNT(*) FROM {{ table.sessions }}) AS sessions_of_all_days
FROM dated
WHERE session_day >= (SELECT {{ first_day }} FROM {{ table.sessions }})
