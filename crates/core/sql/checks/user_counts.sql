-- Users without a session, or with fewer page views than sessions.
SELECT
  domain_userid,
  start_tstamp,
  sessions,
  page_views
FROM {{ checked }}
WHERE {{ since }}
  AND (
    sessions IS NULL
    OR sessions < 1
    OR page_views IS NULL
    OR page_views < sessions
  )
