domain_sessionid IN (
    -- Of the sessions that change those that were looked up: another's rows, before the limit but in one of these days, were not
    -- read, and must stay.
    SELECT stored.domain_sessionid
    FROM {{ table.page_views_upsert_keys }} AS stored
    INNER JOIN {{ table.page_views_changed }} AS changed
      ON changed.domain_sessionid = stored.domain_sessionid
  )
  AND {{ range }}
  AND EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
