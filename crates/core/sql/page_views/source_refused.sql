-- Rows of the user's table with a value that its column can't hold.
SELECT
  COUNT(*) AS row_count,
  MIN(refusal) AS first_sample,
  MAX(refusal) AS last_sample
FROM (
  SELECT
    COALESCE('page_view_id ' || page_view_id, 'a row without a page_view_id') || ', ' || refused AS refusal
  FROM {{ table.page_views_arrived }}
  WHERE refused IS NOT NULL
) AS refusals
