-- The page views of the sessions that have an arrival, each once: in how many rows it came or is stored, and the earliest start
-- of these.
SELECT
  domain_sessionid,
  id AS page_view_id,
  CAST(SUM(copies) AS {{ type.big_integer }}) AS forms,
  MIN(start_tstamp) AS start_tstamp
FROM (
  SELECT
    domain_sessionid,
    page_view_id AS id,
    copies,
    start_tstamp
  FROM {{ table.page_views_new }}
  UNION ALL
  SELECT
    domain_sessionid,
    {{ fixed_text("page_view_id") }} AS id,
    1 AS copies,
    start_tstamp
  FROM {{ table.page_views_stored }}
) AS arrived_and_stored
GROUP BY domain_sessionid, id
