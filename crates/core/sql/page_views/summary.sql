SELECT
  rows_this_run AS page_views,
  (SELECT COUNT(*) FROM {{ table.page_views_sessions }}) AS sessions,
  (SELECT CAST(COALESCE(SUM(page_views), 0) AS {{ type.big_integer }}) FROM {{ table.page_views_changed }}) AS rows_written,
  CAST(min_time_key AS {{ type.text_64 }}) AS first_start,
  CAST(max_time_key AS {{ type.text_64 }}) AS last_start
FROM {{ table.page_views_metadata_this_run }}
