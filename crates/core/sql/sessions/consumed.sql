{{ fingerprint("page_views_staged") }} IN (SELECT fingerprint FROM {{ table.sessions_input_this_run }})
  AND EXISTS (SELECT 1 FROM {{ table.sessions_metadata_this_run }} WHERE run_end_tstamp IS NOT NULL)
