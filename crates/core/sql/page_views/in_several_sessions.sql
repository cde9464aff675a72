-- Ids of page views that stand in several sessions of this run: one page view in each. Where the counts agree there are
-- none, and nothing is read.
SELECT
  COUNT(*) AS page_view_count,
  MIN(page_view_id) AS first_sample,
  MAX(page_view_id) AS last_sample
FROM (
  SELECT page_view_id
  FROM {{ table.page_views_numbers }}
  WHERE EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE rows_this_run > distinct_key_count)
  GROUP BY page_view_id
  HAVING COUNT(*) > 1
) AS in_several
