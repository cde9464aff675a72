-- Sessions of this run with fewer page views than the row of production that is replaced.
SELECT
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM (
  SELECT this_run.domain_sessionid
  FROM {{ table.sessions_keys_this_run }} AS this_run
  INNER JOIN {{ table.sessions_upsert_keys }} AS stored
    ON stored.domain_sessionid = this_run.domain_sessionid
  GROUP BY this_run.domain_sessionid
  HAVING MAX(stored.page_views) > MAX(this_run.page_views)
) AS shrunk
