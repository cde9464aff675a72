SELECT
  source,
  newest
FROM {{ table.page_views_source_newest }}
WHERE newest IS NOT NULL
  AND EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
