domain_sessionid IN (SELECT domain_sessionid FROM {{ table.sessions_upsert_keys }})
  AND {{ range }}
  AND EXISTS (SELECT 1 FROM {{ table.sessions_metadata_this_run }} WHERE run_end_tstamp IS NULL)
