-- Sessions with more than one row.
SELECT
  domain_sessionid,
  COUNT(*) AS row_count
FROM {{ checked }}
WHERE {{ since }}
  AND domain_sessionid IS NOT NULL
GROUP BY domain_sessionid
HAVING COUNT(*) > 1
