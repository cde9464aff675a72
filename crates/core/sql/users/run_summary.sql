SELECT
  rows_this_run AS user_rows,
  (SELECT COUNT(*) FROM {{ table.users_userids_this_run }}) AS users_touched,
  (SELECT COALESCE(SUM(sessions), 0) FROM {{ table.users_this_run }}) AS sessions_read,
  CAST(min_time_key AS {{ type.text_64 }}) AS first_start,
  CAST(max_time_key AS {{ type.text_64 }}) AS last_start
FROM {{ table.users_metadata_this_run }}
