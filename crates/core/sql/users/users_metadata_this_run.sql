SELECT
  CAST('run' AS {{ type.text_64 }}) AS id,
  run_id,
  CAST({{ text(model_version) }} AS {{ type.text_64 }}) AS model_version,
  CAST('web' AS {{ type.text_64 }}) AS model,
  CAST('users' AS {{ type.text_64 }}) AS module,
  {{ now() }} AS run_start_tstamp,
  CAST(NULL AS {{ type.timestamp }}) AS run_end_tstamp,
  CAST(NULL AS {{ type.integer }}) AS rows_this_run,
  CAST(NULL AS {{ type.text_64 }}) AS distinct_key,
  CAST(NULL AS {{ type.integer }}) AS distinct_key_count,
  CAST(NULL AS {{ type.text_64 }}) AS time_key,
  CAST(NULL AS {{ type.timestamp }}) AS min_time_key,
  CAST(NULL AS {{ type.timestamp }}) AS max_time_key,
  CAST(NULL AS {{ type.integer }}) AS duplicate_rows_removed,
  CAST(NULL AS {{ type.integer }}) AS distinct_keys_removed,
  CAST(NULL AS {{ type.big_integer }}) AS userids_checksum,
  CAST(NULL AS {{ type.big_integer }}) AS users_checksum
FROM {{ table.metadata_run_id }}
