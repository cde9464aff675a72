-- Page views that stand in a session more than once.
SELECT
  domain_sessionid,
  id AS page_view_id,
  COUNT(*) AS row_count
FROM (
  SELECT
    domain_sessionid,
    {{ fixed_text("page_view_id") }} AS id
  FROM {{ checked }}
  WHERE {{ since }}
) AS page_views
WHERE id IS NOT NULL
  AND domain_sessionid IS NOT NULL
GROUP BY domain_sessionid, id
HAVING COUNT(*) > 1
