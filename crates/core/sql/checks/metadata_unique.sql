-- Commits that are told more than once.
SELECT
  run_id,
  module,
  run_start_tstamp,
  run_end_tstamp,
  COUNT(*) AS row_count
FROM {{ checked }}
WHERE {{ since_run }}
GROUP BY run_id, module, run_start_tstamp, run_end_tstamp
HAVING COUNT(*) > 1
