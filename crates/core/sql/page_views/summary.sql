SELECT
  rows_this_run AS page_views,
  (SELECT COUNT(*) FROM {{ table.page_views_sessions }}) AS sessions,
  CAST(min_time_key AS {{ type.text_64 }}) AS first_start,
  CAST(max_time_key AS {{ type.text_64 }}) AS last_start
FROM {{ table.page_views_metadata_this_run }}
