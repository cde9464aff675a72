-- Sessions that can't be known: without an id, a start or an end.
SELECT
  domain_sessionid,
  start_tstamp,
  end_tstamp
FROM {{ checked }}
WHERE {{ since }}
  AND (
    COALESCE(domain_sessionid, '') = ''
    OR start_tstamp IS NULL
    OR end_tstamp IS NULL
  )
