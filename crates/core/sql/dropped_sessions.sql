-- Sessions of the input that are not in this run's result, by the first reason that applies.
SELECT
  reason,
  COUNT(*) AS session_count,
  MIN(domain_sessionid) AS first_sample,
  MAX(domain_sessionid) AS last_sample
FROM (
  SELECT
    aggregates.domain_sessionid,
    CASE
      WHEN aggregates.domain_sessionid IS NULL THEN 'domain_sessionid is NULL'
      WHEN first_views.domain_sessionid IS NULL THEN 'no page view with index 1 at the start of the session'
      ELSE 'no page view whose index is the number of page views'
    END AS reason
  FROM {{ table.sessions_aggregates }} AS aggregates
  LEFT JOIN (SELECT DISTINCT domain_sessionid FROM {{ table.sessions_this_run }}) AS kept
    ON kept.domain_sessionid = aggregates.domain_sessionid
  LEFT JOIN (
    SELECT domain_sessionid, start_tstamp
    FROM {{ table.page_views_staged }}
    WHERE page_view_in_session_index = 1
    GROUP BY domain_sessionid, start_tstamp
  ) AS first_views
    ON first_views.domain_sessionid = aggregates.domain_sessionid
    AND first_views.start_tstamp = aggregates.start_tstamp
  WHERE kept.domain_sessionid IS NULL
) AS dropped
GROUP BY reason
ORDER BY reason
