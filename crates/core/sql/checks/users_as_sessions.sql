-- Users whose start, end, number of sessions or of page views, or engaged time is not that of their sessions, none of which
-- waits for a run.
SELECT
  found.domain_userid,
  found.start_tstamp,
  seen.first_start_tstamp,
  found.end_tstamp,
  seen.last_end_tstamp,
  found.sessions,
  seen.session_count,
  found.page_views,
  seen.page_view_count,
  found.engaged_time_in_s,
  seen.engaged_time
FROM (
  SELECT
    domain_userid,
    start_tstamp,
    end_tstamp,
    sessions,
    page_views,
    engaged_time_in_s
  FROM {{ checked }}
  WHERE {{ since }}
) AS found
INNER JOIN (
  SELECT
    domain_userid,
    MIN(start_tstamp) AS first_start_tstamp,
    MAX(end_tstamp) AS last_end_tstamp,
    COUNT(DISTINCT domain_sessionid) AS session_count,
    SUM(page_views) AS page_view_count,
    SUM(engaged_time_in_s) AS engaged_time
  FROM {{ table.sessions }}
  WHERE domain_userid IS NOT NULL
  GROUP BY domain_userid
) AS seen ON seen.domain_userid = found.domain_userid
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ table.sessions_userid_manifest_staged }}) AS waiting
  ON waiting.domain_userid = found.domain_userid
WHERE waiting.domain_userid IS NULL
  AND (
    found.start_tstamp <> seen.first_start_tstamp
    OR found.end_tstamp <> seen.last_end_tstamp
    OR (found.end_tstamp IS NULL AND seen.last_end_tstamp IS NOT NULL)
    OR (found.end_tstamp IS NOT NULL AND seen.last_end_tstamp IS NULL)
    OR COALESCE(found.sessions, -1) <> seen.session_count
    OR COALESCE(found.page_views, -1) <> COALESCE(seen.page_view_count, -1)
    OR COALESCE(found.engaged_time_in_s, -1) <> COALESCE(seen.engaged_time, -1)
  )
