-- The runs that can have written a session, newest first: those whose sessions start before and after it.
SELECT
  runs.run_id,
  runs.run_start_tstamp,
  runs.run_end_tstamp,
  runs.rows_this_run,
  runs.min_time_key,
  runs.max_time_key
FROM (
  SELECT
    run_id,
    run_start_tstamp,
    run_end_tstamp,
    rows_this_run,
    min_time_key,
    max_time_key
  FROM {{ table.datamodel_metadata }}
  WHERE module = 'sessions'
) AS runs
CROSS JOIN (
  SELECT MIN(start_tstamp) AS start_tstamp
  FROM {{ table.sessions }}
  WHERE domain_sessionid = {{ session }}
) AS explained
WHERE runs.min_time_key <= explained.start_tstamp
  AND runs.max_time_key >= explained.start_tstamp
ORDER BY runs.run_start_tstamp DESC
