-- Rows that are no page views, by the first reason that applies.
SELECT
  reason,
  COUNT(*) AS row_count,
  MIN(known_by) AS first_sample,
  MAX(known_by) AS last_sample
FROM (
  SELECT
    COALESCE(page_view_id, domain_sessionid) AS known_by,
    CASE
      WHEN COALESCE({{ fixed_text("page_view_id") }}, '') = '' THEN 'page_view_id is missing'
      WHEN COALESCE(domain_sessionid, '') = '' THEN 'domain_sessionid is missing'
      WHEN start_tstamp IS NULL THEN 'start_tstamp is missing'
    END AS reason
  FROM {{ table.page_views_arrived }}
) AS reasons
WHERE reason IS NOT NULL
GROUP BY reason
ORDER BY reason
