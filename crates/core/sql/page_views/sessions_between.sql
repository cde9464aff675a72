SELECT
  domain_sessionid,
  MIN(start_tstamp) AS start_tstamp
FROM {{ table.page_views }}
WHERE {{ range }}
GROUP BY domain_sessionid
