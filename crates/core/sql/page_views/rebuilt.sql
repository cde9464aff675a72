SELECT
  (SELECT COUNT(*) FROM {{ table.page_views_sessions }}) AS sessions,
  (SELECT COUNT(*) FROM {{ table.page_views_stored }}) AS page_views
FROM (SELECT 1 AS one) AS one_row
