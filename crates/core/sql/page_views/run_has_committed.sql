UPDATE {{ table.page_views_metadata_this_run }}
SET run_end_tstamp = {{ now() }}
WHERE run_end_tstamp IS NULL
