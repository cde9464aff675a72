-- Page views that say another number of page views in their session than there are.
SELECT
  said.domain_sessionid,
  said.page_views_in_session,
  counted.page_views
FROM (
  SELECT DISTINCT
    domain_sessionid,
    page_views_in_session
  FROM {{ checked }}
) AS said
INNER JOIN (
  SELECT
    domain_sessionid,
    COUNT(*) AS page_views
  FROM {{ checked }}
  GROUP BY domain_sessionid
  HAVING {{ since_first }}
) AS counted ON counted.domain_sessionid = said.domain_sessionid
WHERE said.page_views_in_session IS NULL
  OR said.page_views_in_session <> counted.page_views
