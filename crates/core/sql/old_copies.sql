-- Production rows of this run's sessions that the lookback does not reach: the upsert would leave them beside the new ones.
SELECT
  COUNT(*) AS row_count,
  MIN(domain_sessionid) AS sample
FROM {{ table.sessions }}
WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.sessions_this_run }})
  AND start_tstamp < (SELECT lower_limit FROM {{ table.sessions_upsert_limit }})
