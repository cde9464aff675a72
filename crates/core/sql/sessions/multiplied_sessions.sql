-- Sessions with more than one row: their first or last page view stands in the input more than once. Where the counts
-- agree there are none, and nothing is read.
SELECT
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM (
  SELECT domain_sessionid
  FROM {{ table.sessions_keys_this_run }}
  WHERE EXISTS (SELECT 1 FROM {{ table.sessions_metadata_this_run }} WHERE rows_this_run > distinct_key_count)
  GROUP BY domain_sessionid
  HAVING COUNT(*) > 1
) AS multiplied
