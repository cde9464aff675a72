-- Ids of page views that stand in several sessions of this run: one page view in each. Where the counts agree there are
-- none, and nothing is read.
SELECT
  COUNT(*) AS page_view_count,
  MIN(id) AS first_sample,
  MAX(id) AS last_sample
FROM (
  SELECT id
  FROM (
    SELECT {{ fixed_text("page_view_id") }} AS id
    FROM {{ table.page_views_this_run }}
    WHERE EXISTS (SELECT 1 FROM {{ table.page_views_metadata_this_run }} WHERE rows_this_run > distinct_key_count)
  ) AS ids
  GROUP BY id
  HAVING COUNT(*) > 1
) AS in_several
