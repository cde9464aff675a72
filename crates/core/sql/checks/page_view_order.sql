-- Page views with a higher index than one that starts later.
SELECT
  domain_sessionid,
  page_view_id,
  page_view_in_session_index,
  start_tstamp,
  earlier_start_tstamp
FROM (
  SELECT
    domain_sessionid,
    page_view_id,
    page_view_in_session_index,
    start_tstamp,
    LAG(start_tstamp) OVER (PARTITION BY domain_sessionid ORDER BY page_view_in_session_index) AS earlier_start_tstamp
  FROM {{ checked }}
) AS ordered
WHERE {{ since }}
  AND earlier_start_tstamp > start_tstamp
