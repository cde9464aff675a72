-- What became of the rows that arrived: they are kept, repeat one that is kept, or are left out.
SELECT
  arrived.row_count AS rows_arrived,
  kept.row_count AS rows_kept,
  kept.copies - kept.row_count AS rows_repeated,
  arrived.row_count - kept.copies AS rows_left_out,
  kept.repeated_count AS page_views_repeated,
  kept.first_sample,
  kept.last_sample
FROM (SELECT COUNT(*) AS row_count FROM {{ table.page_views_arrived }}) AS arrived
CROSS JOIN (
  SELECT
    COUNT(*) AS row_count,
    COALESCE(SUM(copies), 0) AS copies,
    COUNT(CASE WHEN copies > 1 THEN 1 END) AS repeated_count,
    MIN(CASE WHEN copies > 1 THEN page_view_id END) AS first_sample,
    MAX(CASE WHEN copies > 1 THEN page_view_id END) AS last_sample
  FROM {{ table.page_views_new }}
) AS kept
