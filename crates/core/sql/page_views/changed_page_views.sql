SELECT
  {{ columns.page_views_this_run }}
FROM {{ table.page_views_this_run }}
WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.page_views_changed }})
  AND EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
