-- Sessions of the input that are not in this run's result, by the first reason that applies. Where the counts agree
-- there are none, and nothing is looked up.
SELECT
  reason,
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM (
  SELECT
    domain_sessionid,
    CASE
      WHEN domain_sessionid IS NULL THEN 'domain_sessionid is NULL'
      WHEN first_view_tstamp = start_tstamp THEN 'no page view whose index is the number of page views'
      ELSE 'no page view with index 1 at the start of the session'
    END AS reason
  FROM {{ table.sessions_aggregates }} AS aggregates
  WHERE (SELECT COUNT(*) FROM {{ table.sessions_aggregates }}) > (SELECT distinct_key_count FROM {{ table.sessions_metadata_this_run }})
    AND NOT EXISTS (
      SELECT 1
      FROM {{ table.sessions_keys_this_run }} AS sessions_this_run
      WHERE sessions_this_run.domain_sessionid = aggregates.domain_sessionid
    )
) AS reasons
GROUP BY reason
ORDER BY reason
