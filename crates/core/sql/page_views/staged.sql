SELECT
  COUNT(*) AS page_views,
  COUNT(DISTINCT domain_sessionid) AS sessions
FROM {{ table.page_views_staged }}
