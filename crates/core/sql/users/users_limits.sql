SELECT
  MIN(start_tstamp) AS lower_limit,
  MAX(start_tstamp) AS upper_limit
FROM {{ table.users_userids_this_run }}
