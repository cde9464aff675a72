SELECT
  {{ columns.users_this_run }}
FROM {{ table.users_this_run }}
WHERE EXISTS (SELECT 1 FROM {{ table.users_metadata_this_run }} WHERE run_end_tstamp IS NULL)
