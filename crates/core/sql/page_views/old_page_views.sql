domain_sessionid IN (
    SELECT stored.domain_sessionid
    FROM {{ table.page_views_upsert_keys }} AS stored
    INNER JOIN {{ table.page_views_changed }} AS changed
      ON changed.domain_sessionid = stored.domain_sessionid
  )
  AND {{ range }}
  AND EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
