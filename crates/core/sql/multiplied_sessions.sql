-- Sessions with more than one row: their first or last page view stands in the input more than once.
SELECT
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM (
  SELECT domain_sessionid
  FROM {{ table.sessions_this_run }}
  GROUP BY domain_sessionid
  HAVING COUNT(*) > 1
) AS multiplied
