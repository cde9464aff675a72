-- The row of this run once more, with counts and time range, and sealed: these are the page views that were numbered.
SELECT
  metadata.id,
  metadata.run_id,
  metadata.model_version,
  metadata.model,
  metadata.module,
  metadata.run_start_tstamp,
  metadata.run_end_tstamp,
  counts.rows_this_run,
  CAST('page_view_id' AS {{ type.text_64 }}) AS distinct_key,
  counts.distinct_key_count,
  CAST('start_tstamp' AS {{ type.text_64 }}) AS time_key,
  counts.min_time_key,
  counts.max_time_key,
  repeated.duplicate_rows_removed,
  repeated.distinct_keys_removed,
  metadata.input_rows,
  metadata.key_rows,
  metadata.stored_rows,
  metadata.changed_rows,
  counts.page_views_checksum
FROM {{ table.page_views_metadata_this_run }} AS metadata
CROSS JOIN (
  SELECT
    COUNT(*) AS rows_this_run,
    COUNT(DISTINCT page_view_id) AS distinct_key_count,
    MIN(start_tstamp) AS min_time_key,
    MAX(start_tstamp) AS max_time_key,
    {{ checksum("page_view_id") }} AS page_views_checksum
  FROM {{ table.page_views_numbers }}
) AS counts
CROSS JOIN (
  SELECT
    CAST(COALESCE(SUM(copies - 1), 0) AS {{ type.integer }}) AS duplicate_rows_removed,
    COUNT(CASE WHEN copies > 1 THEN 1 END) AS distinct_keys_removed
  FROM {{ table.page_views_new }}
) AS repeated
WHERE metadata.rows_this_run IS NULL
