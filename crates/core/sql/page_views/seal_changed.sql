UPDATE {{ table.page_views_metadata_this_run }}
SET changed_rows = (SELECT COUNT(*) FROM {{ table.page_views_changed }})
WHERE run_end_tstamp IS NULL
