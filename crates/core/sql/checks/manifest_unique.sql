-- Users that are staged more than once, or without the start of a session.
SELECT
  domain_userid,
  COUNT(*) AS row_count,
  MIN(start_tstamp) AS first_start_tstamp
FROM {{ checked }}
WHERE domain_userid IS NOT NULL
GROUP BY domain_userid
HAVING COUNT(*) > 1
  OR COUNT(start_tstamp) = 0
