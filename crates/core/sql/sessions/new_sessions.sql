SELECT
  {{ columns.sessions_this_run }}
FROM {{ sessions }}
WHERE EXISTS (SELECT 1 FROM {{ table.sessions_metadata_this_run }} WHERE run_end_tstamp IS NULL)
