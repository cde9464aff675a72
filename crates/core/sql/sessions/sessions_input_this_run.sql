-- Read before anything else reads the input: a row that arrives later is not in here, so complete leaves it alone.
SELECT
  fingerprint,
  COUNT(*) AS row_count
FROM (
  SELECT {{ fingerprint("page_views_staged") }} AS fingerprint
  FROM {{ table.page_views_staged }}
) AS fingerprints
GROUP BY fingerprint
