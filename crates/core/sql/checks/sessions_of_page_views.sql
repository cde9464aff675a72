-- Sessions that have page views, none of which waits for a run, and that have no row.
SELECT
  viewed.domain_sessionid,
  viewed.page_views,
  viewed.first_start_tstamp
FROM (
  SELECT
    domain_sessionid,
    COUNT(*) AS page_views,
    MIN(start_tstamp) AS first_start_tstamp
  FROM {{ table.page_views }}
  WHERE domain_sessionid IS NOT NULL
  GROUP BY domain_sessionid
  HAVING {{ since_first }}
) AS viewed
LEFT JOIN (SELECT DISTINCT domain_sessionid FROM {{ table.page_views_staged }}) AS waiting
  ON waiting.domain_sessionid = viewed.domain_sessionid
LEFT JOIN (SELECT DISTINCT domain_sessionid FROM {{ table.sessions }}) AS found
  ON found.domain_sessionid = viewed.domain_sessionid
WHERE waiting.domain_sessionid IS NULL
  AND found.domain_sessionid IS NULL
