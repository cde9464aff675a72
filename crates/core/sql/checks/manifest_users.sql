-- Staged users without a session.
SELECT
  staged.domain_userid,
  staged.start_tstamp
FROM (
  SELECT
    domain_userid,
    start_tstamp
  FROM {{ checked }}
  WHERE {{ since }}
) AS staged
LEFT JOIN (SELECT DISTINCT domain_userid FROM {{ table.sessions }}) AS users ON users.domain_userid = staged.domain_userid
WHERE staged.domain_userid IS NOT NULL
  AND users.domain_userid IS NULL
