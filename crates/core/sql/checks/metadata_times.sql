-- Runs that end before they start, or whose rows do.
SELECT
  run_id,
  module,
  run_start_tstamp,
  run_end_tstamp,
  min_time_key,
  max_time_key
FROM {{ checked }}
WHERE {{ since_run }}
  AND (run_end_tstamp < run_start_tstamp OR max_time_key < min_time_key)
