-- The earliest start that is known of each user: from the manifest, from what was staged, from its row.
SELECT
  domain_userid,
  MIN(start_tstamp) AS start_tstamp
FROM (
  SELECT
    domain_userid,
    start_tstamp
  FROM {{ table.users_userids_this_run }}
  UNION ALL
  SELECT
    domain_userid,
    start_tstamp
  FROM {{ table.users_this_run }}
) AS known
WHERE {{ sealed }}
GROUP BY domain_userid
