SELECT
  {{ columns.page_views_this_run }}
FROM {{ table.page_views_this_run }}
WHERE EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
