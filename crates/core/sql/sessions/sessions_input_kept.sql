-- Page views that main read and that stay all the same: those of sessions that got page views since, so that the next
-- run sees these sessions whole. A page view that came again stays in its new form only.
WITH present AS (
  SELECT fingerprint, COUNT(*) AS row_count
  FROM (SELECT {{ fingerprint("page_views_staged") }} AS fingerprint FROM {{ table.page_views_staged }}) AS fingerprints
  GROUP BY fingerprint
),
arrived AS (
  SELECT
    present.fingerprint,
    present.row_count - COALESCE(consumed.row_count, 0) AS copies
  FROM present
  LEFT JOIN {{ table.sessions_input_this_run }} AS consumed ON consumed.fingerprint = present.fingerprint
  WHERE present.row_count > COALESCE(consumed.row_count, 0)
),
arrived_views AS (
  SELECT DISTINCT domain_sessionid, page_view_id
  FROM {{ table.page_views_staged }}
  WHERE {{ fingerprint("page_views_staged") }} IN (SELECT fingerprint FROM arrived)
),
candidates AS (
  SELECT
    {{ columns.page_views_staged }},
    {{ fingerprint("page_views_staged") }} AS fingerprint,
    ROW_NUMBER() OVER (PARTITION BY {{ fingerprint("page_views_staged") }} ORDER BY page_view_id) AS copy_number
  FROM {{ table.page_views_staged }}
  WHERE {{ consumed }}
    AND domain_sessionid IN (SELECT domain_sessionid FROM arrived_views)
)
SELECT
    {{ columns.page_views_staged }}
FROM candidates
LEFT JOIN arrived ON arrived.fingerprint = candidates.fingerprint
WHERE copy_number <= arrived.copies
  OR (
    arrived.copies IS NULL
    AND NOT EXISTS (
      SELECT 1
      FROM arrived_views
      WHERE arrived_views.page_view_id = candidates.page_view_id
        AND arrived_views.domain_sessionid = candidates.domain_sessionid
    )
  )
