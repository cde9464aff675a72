SELECT
  run_id,
  model_version,
  model,
  module,
  run_start_tstamp,
  {{ now() }} AS run_end_tstamp,
  rows_this_run,
  distinct_key,
  distinct_key_count,
  time_key,
  min_time_key,
  max_time_key,
  duplicate_rows_removed,
  distinct_keys_removed
FROM {{ metadata_this_run }}
WHERE run_end_tstamp IS NULL
