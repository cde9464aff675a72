-- Rows of the user's table with a value that its column can't hold.
SELECT
  COUNT(*) AS row_count,
  MIN(refusal) AS first_sample,
  MAX(refusal) AS last_sample
FROM (
  SELECT
    CASE
      WHEN page_view_id IS NOT NULL THEN 'page_view_id ' || page_view_id || ', '
      WHEN refused LIKE 'page_view_id: %' THEN ''
      ELSE 'a row without a page_view_id, '
    END || refused AS refusal
  FROM {{ table.page_views_arrived }}
  WHERE refused IS NOT NULL
) AS refusals
