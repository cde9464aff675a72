-- Page views that main read and that were staged again just as they were: the copies that came since.
WITH present AS (
  SELECT fingerprint, COUNT(*) AS row_count
  FROM (SELECT {{ fingerprint("page_views_staged") }} AS fingerprint FROM {{ table.page_views_staged }}) AS fingerprints
  GROUP BY fingerprint
),
arrived AS (
  SELECT
    present.fingerprint,
    present.row_count - consumed.row_count AS copies
  FROM present
  INNER JOIN {{ table.sessions_input_this_run }} AS consumed ON consumed.fingerprint = present.fingerprint
  WHERE present.row_count > consumed.row_count
),
candidates AS (
  SELECT
    {{ columns.page_views_staged }},
    {{ fingerprint("page_views_staged") }} AS fingerprint,
    ROW_NUMBER() OVER (PARTITION BY {{ fingerprint("page_views_staged") }} ORDER BY page_view_id) AS copy_number
  FROM {{ table.page_views_staged }}
  WHERE {{ consumed }}
    AND domain_sessionid IS NOT NULL
)
SELECT
    {{ columns.page_views_staged }}
FROM candidates
INNER JOIN arrived ON arrived.fingerprint = candidates.fingerprint
WHERE copy_number <= arrived.copies
