SELECT
  rows_this_run AS session_rows,
  (SELECT SUM(row_count) FROM {{ table.sessions_input_this_run }}) AS page_views,
  (SELECT COUNT(domain_userid) FROM {{ table.sessions_userid_manifest_this_run }}) AS users,
  CAST(min_time_key AS {{ type.text_64 }}) AS first_start,
  CAST(max_time_key AS {{ type.text_64 }}) AS last_start
FROM {{ table.sessions_metadata_this_run }}
