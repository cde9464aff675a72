UPDATE {{ table.page_views_metadata_this_run }}
SET stored_rows = (SELECT COUNT(*) FROM {{ table.page_views_stored }})
WHERE run_end_tstamp IS NULL
