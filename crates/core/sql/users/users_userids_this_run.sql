-- Each user that is staged, with the earliest start that is known of it: NULL is no user, and the seed is no start.
SELECT
  domain_userid,
  MIN(start_tstamp) AS start_tstamp
FROM (
  SELECT
    domain_userid,
    start_tstamp
  FROM {{ table.sessions_userid_manifest_read }}
  WHERE domain_userid IS NOT NULL
  UNION ALL
  SELECT
    domain_userid,
    start_tstamp
  FROM {{ table.users_manifest }}
  WHERE domain_userid IN (SELECT domain_userid FROM {{ table.sessions_userid_manifest_read }})
    AND NOT ({{ seed }})
) AS known
GROUP BY domain_userid
