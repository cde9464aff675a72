-- Page views that end before they start, or that have been looked at for less than no time.
SELECT
  page_view_id,
  domain_sessionid,
  start_tstamp,
  end_tstamp,
  engaged_time_in_s
FROM {{ checked }}
WHERE {{ since }}
  AND (end_tstamp < start_tstamp OR engaged_time_in_s < 0)
