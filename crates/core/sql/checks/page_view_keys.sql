-- Page views that can't be known: without an id, a session or a start.
SELECT
  page_view_id,
  domain_sessionid,
  start_tstamp
FROM {{ checked }}
WHERE {{ since }}
  AND (
    COALESCE({{ fixed_text("page_view_id") }}, '') = ''
    OR COALESCE(domain_sessionid, '') = ''
    OR start_tstamp IS NULL
  )
