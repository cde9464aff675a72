UPDATE {{ table.page_views_metadata_this_run }}
SET input_rows = (
    SELECT COUNT(*)
    FROM {{ table.page_views_arrived }}
    WHERE {{ is_page_view }}
  )
WHERE run_end_tstamp IS NULL
