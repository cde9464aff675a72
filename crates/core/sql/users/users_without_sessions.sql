SELECT
  COUNT(*) AS user_count,
  MIN(domain_userid) AS first_sample,
  MAX(domain_userid) AS last_sample
FROM {{ table.users_userids_this_run }} AS userids
WHERE NOT EXISTS (
    SELECT 1
    FROM {{ table.users_this_run }} AS users_this_run
    WHERE users_this_run.domain_userid = userids.domain_userid
  )
