-- Sessions with page views that main has not read, or read fewer times than they stand there.
SELECT DISTINCT read_or_not.domain_sessionid
FROM (
  SELECT domain_sessionid, fingerprint, COUNT(*) AS row_count
  FROM (
    SELECT domain_sessionid, {{ fingerprint("page_views_staged") }} AS fingerprint
    FROM {{ table.page_views_staged }}
  ) AS fingerprints
  GROUP BY domain_sessionid, fingerprint
) AS read_or_not
LEFT JOIN {{ table.sessions_input_this_run }} AS consumed ON consumed.fingerprint = read_or_not.fingerprint
WHERE consumed.fingerprint IS NULL
  OR read_or_not.row_count > consumed.row_count
