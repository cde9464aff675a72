-- The number of each page view in its session, by the start that its newest form gives, and how many there are.
SELECT
  domain_sessionid,
  id AS page_view_id,
  repeated,
  start_tstamp,
  ROW_NUMBER() OVER (PARTITION BY {{ sorted_text("domain_sessionid") }} ORDER BY start_tstamp, id) AS number,
  COUNT(*) OVER (PARTITION BY {{ sorted_text("domain_sessionid") }}) AS number_of_all
FROM (
  SELECT
    domain_sessionid,
    page_view_id AS id,
    FALSE AS repeated,
    start_tstamp
  FROM {{ table.page_views_forms }}
  WHERE forms = 1
  UNION ALL
  SELECT
    domain_sessionid,
    {{ fixed_text("page_view_id") }} AS id,
    TRUE AS repeated,
    start_tstamp
  FROM {{ table.page_views_repeated }}
) AS newest
