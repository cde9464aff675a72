-- The page views that came, each once: in how many rows it came, and the earliest start of these. A page view is known by its
-- session and its id: an id can outlive a session.
SELECT
  domain_sessionid,
  id AS page_view_id,
  COUNT(*) AS copies,
  MIN(start_tstamp) AS start_tstamp
FROM (
  SELECT
    domain_sessionid,
    {{ fixed_text("page_view_id") }} AS id,
    start_tstamp
  FROM {{ table.page_views_arrived }}
  WHERE {{ is_page_view }}
) AS arrived
GROUP BY domain_sessionid, id
