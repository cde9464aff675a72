-- Sessions that begin when there are page views already, and have none of them.
SELECT
  found.domain_sessionid,
  found.start_tstamp,
  found.page_views
FROM (
  SELECT
    domain_sessionid,
    start_tstamp,
    page_views
  FROM {{ table.sessions }}
  WHERE {{ since }}
    AND start_tstamp >= (SELECT MIN(start_tstamp) FROM {{ table.page_views }})
) AS found
LEFT JOIN (SELECT DISTINCT domain_sessionid FROM {{ table.page_views }}) AS viewed
  ON viewed.domain_sessionid = found.domain_sessionid
WHERE viewed.domain_sessionid IS NULL
