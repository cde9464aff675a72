-- Sessions without a page view.
SELECT
  domain_sessionid,
  start_tstamp,
  page_views
FROM {{ checked }}
WHERE {{ since }}
  AND (page_views IS NULL OR page_views < 1)
