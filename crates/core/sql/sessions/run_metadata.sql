-- The row of this run once more, with counts and time range.
SELECT
  metadata.id,
  metadata.run_id,
  metadata.model_version,
  metadata.model,
  metadata.module,
  metadata.run_start_tstamp,
  metadata.run_end_tstamp,
  counts.rows_this_run,
  CAST('domain_sessionid' AS {{ type.text_64 }}) AS distinct_key,
  counts.distinct_key_count,
  CAST('start_tstamp' AS {{ type.text_64 }}) AS time_key,
  counts.min_time_key,
  counts.max_time_key,
  metadata.duplicate_rows_removed,
  metadata.distinct_keys_removed,
  metadata.input_checksum,
  counts.sessions_checksum
FROM {{ table.sessions_metadata_this_run }} AS metadata
CROSS JOIN (
  SELECT
    COUNT(*) AS rows_this_run,
    COUNT(DISTINCT {{ sorted_text("domain_sessionid") }}) AS distinct_key_count,
    MIN(start_tstamp) AS min_time_key,
    MAX(start_tstamp) AS max_time_key,
    {{ checksum("domain_sessionid") }} AS sessions_checksum
  FROM {{ table.sessions_keys_this_run }}
) AS counts
WHERE metadata.rows_this_run IS NULL
