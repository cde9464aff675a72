-- Runs with more keys than rows, or with less than none.
SELECT
  run_id,
  module,
  run_start_tstamp,
  rows_this_run,
  distinct_key_count
FROM {{ checked }}
WHERE {{ since_run }}
  AND (distinct_key_count > rows_this_run OR distinct_key_count < 0)
