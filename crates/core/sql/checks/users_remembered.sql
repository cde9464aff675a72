-- Users who wait for no run, and are not remembered, or only since after they began.
SELECT
  found.domain_userid,
  found.start_tstamp,
  remembered.first_start_tstamp
FROM (
  SELECT
    domain_userid,
    start_tstamp
  FROM {{ table.users }}
  WHERE {{ since }}
    AND domain_userid IS NOT NULL
) AS found
LEFT JOIN (
  SELECT
    domain_userid,
    MIN(start_tstamp) AS first_start_tstamp
  FROM {{ checked }}
  GROUP BY domain_userid
) AS remembered ON remembered.domain_userid = found.domain_userid
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ table.sessions_userid_manifest_staged }}) AS waiting
  ON waiting.domain_userid = found.domain_userid
WHERE waiting.domain_userid IS NULL
  AND (remembered.domain_userid IS NULL OR remembered.first_start_tstamp > found.start_tstamp)
