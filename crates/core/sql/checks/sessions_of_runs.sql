-- Production, if it has more sessions than all runs together have written, or some outside of the times that these have seen.
SELECT
  found.sessions,
  written.sessions_written,
  found.first_start_tstamp,
  written.earliest,
  found.last_start_tstamp,
  written.latest
FROM (
  SELECT
    COUNT(DISTINCT domain_sessionid) AS sessions,
    MIN(start_tstamp) AS first_start_tstamp,
    MAX(start_tstamp) AS last_start_tstamp
  FROM {{ table.sessions }}
) AS found
CROSS JOIN (
  SELECT
    COALESCE(SUM(distinct_key_count), 0) AS sessions_written,
    MIN(min_time_key) AS earliest,
    MAX(max_time_key) AS latest
  FROM {{ table.datamodel_metadata }}
  WHERE module = 'sessions'
) AS written
WHERE found.sessions > written.sessions_written
  OR found.first_start_tstamp < written.earliest
  OR found.last_start_tstamp > written.latest
