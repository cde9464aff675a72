domain_sessionid IN (SELECT domain_sessionid FROM {{ table.page_views_upsert_keys }})
  AND {{ range }}
  AND EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
