-- Users who have sessions, none of which waits for a run, and who have no row.
SELECT
  seen.domain_userid,
  seen.session_count,
  seen.first_start_tstamp
FROM (
  SELECT
    domain_userid,
    COUNT(DISTINCT domain_sessionid) AS session_count,
    MIN(start_tstamp) AS first_start_tstamp
  FROM {{ table.sessions }}
  WHERE domain_userid IS NOT NULL
  GROUP BY domain_userid
  HAVING {{ since_first }}
) AS seen
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ table.sessions_userid_manifest_staged }}) AS waiting
  ON waiting.domain_userid = seen.domain_userid
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ checked }}) AS found ON found.domain_userid = seen.domain_userid
WHERE waiting.domain_userid IS NULL
  AND found.domain_userid IS NULL
