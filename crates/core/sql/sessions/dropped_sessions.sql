-- Sessions of the input that are not in this run's result, by the first reason that applies. Where the counts agree
-- there are none, and nothing is read.
WITH dropped AS (
  SELECT domain_sessionid, start_tstamp
  FROM {{ table.sessions_aggregates }} AS aggregates
  WHERE (SELECT COUNT(*) FROM {{ table.sessions_aggregates }}) > (SELECT distinct_key_count FROM {{ table.sessions_metadata_this_run }})
    AND NOT EXISTS (
      SELECT 1
      FROM {{ table.sessions_this_run }} AS sessions_this_run
      WHERE sessions_this_run.domain_sessionid = aggregates.domain_sessionid
    )
),
first_views AS (
  SELECT DISTINCT page_views_staged.domain_sessionid
  FROM {{ table.page_views_staged }} AS page_views_staged
  INNER JOIN dropped
    ON page_views_staged.domain_sessionid = dropped.domain_sessionid
    AND page_views_staged.start_tstamp = dropped.start_tstamp
  WHERE page_views_staged.page_view_in_session_index = 1
)
SELECT
  reason,
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM (
  SELECT
    dropped.domain_sessionid,
    CASE
      WHEN dropped.domain_sessionid IS NULL THEN 'domain_sessionid is NULL'
      WHEN first_views.domain_sessionid IS NULL THEN 'no page view with index 1 at the start of the session'
      ELSE 'no page view whose index is the number of page views'
    END AS reason
  FROM dropped
  LEFT JOIN first_views ON first_views.domain_sessionid = dropped.domain_sessionid
) AS reasons
GROUP BY reason
ORDER BY reason
