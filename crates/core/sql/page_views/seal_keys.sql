UPDATE {{ table.page_views_metadata_this_run }}
SET key_rows = (SELECT COUNT(*) FROM {{ table.page_views_upsert_keys }})
WHERE run_end_tstamp IS NULL
