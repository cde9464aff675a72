-- The latest runs of each module, by the model's metadata.
SELECT
  run_id,
  module,
  model_version,
  run_start_tstamp,
  run_end_tstamp,
  {{ seconds_between("run_start_tstamp", "run_end_tstamp") }} AS seconds,
  rows_this_run,
  duplicate_rows_removed,
  distinct_keys_removed
FROM {{ table.datamodel_metadata }}
ORDER BY run_start_tstamp DESC, module
LIMIT 200
