-- Commits that lack what every one has.
SELECT
  run_id,
  module,
  run_start_tstamp,
  run_end_tstamp,
  rows_this_run,
  distinct_key_count
FROM {{ checked }}
WHERE run_id IS NULL
  OR module IS NULL
  OR run_start_tstamp IS NULL
  OR run_end_tstamp IS NULL
  OR rows_this_run IS NULL
  OR distinct_key_count IS NULL
