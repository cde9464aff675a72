-- The last run, if production has fewer sessions from the time that it wrote than it wrote.
SELECT
  last_run.run_id,
  last_run.distinct_key_count AS sessions_written,
  found.sessions
FROM (
  SELECT
    run_id,
    distinct_key_count
  FROM {{ table.datamodel_metadata }}
  WHERE module = 'sessions'
    AND run_start_tstamp = (SELECT MAX(run_start_tstamp) FROM {{ table.datamodel_metadata }} WHERE module = 'sessions')
) AS last_run
CROSS JOIN (
  SELECT COUNT(DISTINCT domain_sessionid) AS sessions
  FROM {{ table.sessions }}
  WHERE start_tstamp >= (
      SELECT MIN(min_time_key)
      FROM {{ table.datamodel_metadata }}
      WHERE module = 'sessions'
        AND run_start_tstamp = (SELECT MAX(run_start_tstamp) FROM {{ table.datamodel_metadata }} WHERE module = 'sessions')
    )
    AND start_tstamp <= (
      SELECT MAX(max_time_key)
      FROM {{ table.datamodel_metadata }}
      WHERE module = 'sessions'
        AND run_start_tstamp = (SELECT MAX(run_start_tstamp) FROM {{ table.datamodel_metadata }} WHERE module = 'sessions')
    )
) AS found
WHERE found.sessions < last_run.distinct_key_count
