SELECT
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM {{ table.sessions_keys_this_run }}
WHERE domain_userid IS NULL
