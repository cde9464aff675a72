-- The sessions that have an arrival: all of their page views are numbered and staged anew, and nothing else is.
SELECT
  domain_sessionid,
  MIN(start_tstamp) AS start_tstamp
FROM {{ table.page_views_new }}
GROUP BY domain_sessionid
