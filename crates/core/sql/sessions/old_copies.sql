-- Sessions of this run with production rows that the lookback does not reach: the upsert would leave them beside the new ones.
SELECT
  COUNT(DISTINCT domain_sessionid) AS session_count,
  MIN(domain_sessionid) AS sample
FROM {{ table.sessions_upsert_keys }}
WHERE start_tstamp < (SELECT lower_limit FROM {{ table.sessions_upsert_limit }})
