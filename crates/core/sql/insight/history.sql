-- The runs of each module, newest first: what each wrote, how long after the one before it began, and what the seven
-- before it wrote.
SELECT
  run_id,
  module,
  model_version,
  run_start_tstamp,
  run_end_tstamp,
  {{ seconds_between("run_start_tstamp", "run_end_tstamp") }} AS duration_in_s,
  rows_this_run,
  distinct_key,
  distinct_key_count,
  min_time_key,
  max_time_key,
  duplicate_rows_removed,
  distinct_keys_removed,
  {{ seconds_between("earlier_end_tstamp", "run_start_tstamp") }} AS idle_in_s,
  rows_of_earlier_runs,
  earlier_runs
FROM (
  SELECT
    run_id,
    module,
    model_version,
    run_start_tstamp,
    run_end_tstamp,
    rows_this_run,
    distinct_key,
    distinct_key_count,
    min_time_key,
    max_time_key,
    duplicate_rows_removed,
    distinct_keys_removed,
    LAG(run_end_tstamp) OVER (PARTITION BY module ORDER BY run_start_tstamp) AS earlier_end_tstamp,
    CAST(SUM(rows_this_run) OVER (
      PARTITION BY module ORDER BY run_start_tstamp ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING
    ) AS {{ type.big_integer }}) AS rows_of_earlier_runs,
    COUNT(rows_this_run) OVER (
      PARTITION BY module ORDER BY run_start_tstamp ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING
    ) AS earlier_runs
  FROM {{ table.datamodel_metadata }}
) AS runs
WHERE {{ condition }}
ORDER BY run_start_tstamp DESC, module
LIMIT {{ limit }}
