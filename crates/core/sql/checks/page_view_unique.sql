-- Page views that stand in a session more than once.
SELECT
  domain_sessionid,
  {{ fixed_text("page_view_id") }} AS page_view_id,
  COUNT(*) AS row_count
FROM {{ checked }}
WHERE {{ since }}
  AND page_view_id IS NOT NULL
  AND domain_sessionid IS NOT NULL
GROUP BY domain_sessionid, {{ fixed_text("page_view_id") }}
HAVING COUNT(*) > 1
