source = {{ text(source_name) }}
  AND newest <= (SELECT MAX(newest) FROM {{ table.page_views_source_newest }})
  AND EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE run_end_tstamp IS NULL)
