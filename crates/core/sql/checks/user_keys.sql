-- Users that can't be known: without an id or a start.
SELECT
  domain_userid,
  start_tstamp
FROM {{ checked }}
WHERE domain_userid IS NULL
  OR start_tstamp IS NULL
