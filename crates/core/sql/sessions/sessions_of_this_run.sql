-- Production's rows of this run. An old row of a session that the lookback didn't reach starts at another time.
SELECT
  {{ columns.sessions_this_run }}
FROM {{ table.sessions }}
WHERE EXISTS (
  SELECT 1
  FROM {{ table.sessions_keys_this_run }} AS this_run
  WHERE this_run.domain_sessionid = {{ row.sessions }}.domain_sessionid
    AND this_run.start_tstamp = {{ row.sessions }}.start_tstamp
)
