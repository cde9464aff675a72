SELECT
  COUNT(*) AS rows_this_run,
  COUNT(DISTINCT domain_sessionid) AS distinct_key_count,
  MIN(start_tstamp) AS min_time_key,
  MAX(start_tstamp) AS max_time_key
FROM {{ table.sessions_this_run }}
