SELECT
  domain_sessionid,
  MIN(start_tstamp) AS start_tstamp,
  MAX(end_tstamp) AS end_tstamp,
  COUNT(DISTINCT {{ fixed_text("page_view_id") }}) AS page_views,
  CAST(SUM(engaged_time_in_s) AS {{ type.integer }}) AS engaged_time_in_s,
  MIN(CASE WHEN page_view_in_session_index = 1 THEN start_tstamp END) AS first_view_tstamp{{ own_aggregates() }}
FROM {{ table.page_views_staged }}
GROUP BY {{ grouped_text("domain_sessionid") }}
