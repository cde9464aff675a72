SELECT
  {{ columns.users_sessions_this_run }}
FROM {{ table.sessions }}
WHERE domain_userid IN (SELECT domain_userid FROM {{ table.users_userids_this_run }})
