-- What a consumed page view gives way to: one of its name in its session that main has not read, or a copy that is put
-- back. One of no session is of no use to the next run, and gives way to itself.
SELECT page_view_id, COALESCE('of ' || domain_sessionid, 'none') AS of_session
FROM (
  SELECT page_view_id, domain_sessionid, {{ fingerprint("page_views_staged") }} AS fingerprint
  FROM {{ table.page_views_staged }}
) AS fingerprints
LEFT JOIN {{ table.sessions_input_this_run }} AS consumed ON consumed.fingerprint = fingerprints.fingerprint
WHERE consumed.fingerprint IS NULL
  OR domain_sessionid IS NULL
UNION ALL
SELECT page_view_id, COALESCE('of ' || domain_sessionid, 'none') AS of_session
FROM {{ table.sessions_input_kept }}
