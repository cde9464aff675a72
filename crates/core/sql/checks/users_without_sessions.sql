-- Users who wait for no run, and have no session.
SELECT
  found.domain_userid,
  found.start_tstamp,
  found.sessions
FROM (
  SELECT
    domain_userid,
    start_tstamp,
    sessions
  FROM {{ checked }}
  WHERE {{ since }}
    AND domain_userid IS NOT NULL
) AS found
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ table.sessions }}) AS seen ON seen.domain_userid = found.domain_userid
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ table.sessions_userid_manifest_staged }}) AS waiting
  ON waiting.domain_userid = found.domain_userid
WHERE seen.domain_userid IS NULL
  AND waiting.domain_userid IS NULL
