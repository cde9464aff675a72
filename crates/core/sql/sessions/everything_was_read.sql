{{ sealed }}
  AND NOT EXISTS (
    SELECT 1
    FROM (
      SELECT fingerprint, COUNT(*) AS row_count
      FROM (SELECT {{ fingerprint("page_views_staged") }} AS fingerprint FROM {{ table.page_views_staged }}) AS fingerprints
      GROUP BY fingerprint
    ) AS present
    LEFT JOIN {{ table.sessions_input_this_run }} AS consumed ON consumed.fingerprint = present.fingerprint
    WHERE consumed.fingerprint IS NULL
      OR present.row_count > consumed.row_count
  )
