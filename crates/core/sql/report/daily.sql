-- One row a day (UTC) on which a session began. A bounce is a session of one page view. A user comes back if the session is not
-- the user's first, by the tracker's count.
WITH dated AS (
  SELECT
    {{ day("start_tstamp") }} AS session_day,
    domain_userid,
    domain_sessionidx,
    page_views,
    engaged_time_in_s
  FROM {{ table.sessions }}
)

SELECT
  session_day,
  COUNT(*) AS session_count,
  COUNT(DISTINCT domain_userid) AS user_count,
  COUNT(DISTINCT CASE WHEN domain_sessionidx > 1 THEN domain_userid END) AS returning_users,
  SUM(page_views) AS page_views,
  SUM(engaged_time_in_s) AS engaged_time_in_s,
  SUM(CASE WHEN page_views = 1 THEN 1 ELSE 0 END) AS bounces
FROM dated
WHERE session_day >= (SELECT {{ first_day }} FROM {{ table.sessions }})
GROUP BY session_day
ORDER BY session_day
