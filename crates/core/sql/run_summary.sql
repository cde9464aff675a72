SELECT
  rows_this_run AS session_rows,
  (SELECT SUM(row_count) FROM {{ table.sessions_input_this_run }}) AS page_views,
  (SELECT COUNT(*) FROM {{ table.sessions_userid_manifest_this_run }}) AS users,
  min_time_key AS first_start,
  max_time_key AS last_start
FROM {{ table.sessions_metadata_this_run }}
