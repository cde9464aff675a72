-- Sessions whose start, end, number of page views or engaged time is not that of their page views, none of which waits for a
-- run.
SELECT
  found.domain_sessionid,
  found.start_tstamp,
  viewed.first_start_tstamp,
  found.end_tstamp,
  viewed.last_end_tstamp,
  found.page_views,
  viewed.page_view_count,
  found.engaged_time_in_s,
  viewed.engaged_time
FROM (
  SELECT
    domain_sessionid,
    start_tstamp,
    end_tstamp,
    page_views,
    engaged_time_in_s
  FROM {{ table.sessions }}
) AS found
INNER JOIN (
  SELECT
    domain_sessionid,
    MIN(start_tstamp) AS first_start_tstamp,
    MAX(end_tstamp) AS last_end_tstamp,
    COUNT(*) AS page_view_count,
    SUM(engaged_time_in_s) AS engaged_time
  FROM {{ table.page_views }}
  GROUP BY domain_sessionid
  HAVING {{ since_first }}
) AS viewed ON viewed.domain_sessionid = found.domain_sessionid
LEFT JOIN (SELECT DISTINCT domain_sessionid FROM {{ table.page_views_staged }}) AS waiting
  ON waiting.domain_sessionid = found.domain_sessionid
WHERE waiting.domain_sessionid IS NULL
  AND (
    found.start_tstamp <> viewed.first_start_tstamp
    OR found.end_tstamp <> viewed.last_end_tstamp
    OR found.page_views <> viewed.page_view_count
    OR COALESCE(found.engaged_time_in_s, -1) <> COALESCE(viewed.engaged_time, -1)
  )
