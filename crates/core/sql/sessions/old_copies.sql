-- Sessions of this run with production rows that the lookback does not reach.
SELECT
  COUNT(DISTINCT domain_sessionid) AS session_count,
  MIN(domain_sessionid) AS sample
FROM {{ table.sessions_upsert_keys }}
WHERE start_tstamp < (SELECT {{ minus_days("MIN(start_tstamp)", upsert_lookback_days) }} FROM {{ table.sessions_keys_this_run }})
