{{ tables }},
samples AS (
SELECT session_id
FROM changed_pairs
ORDER BY session_id
LIMIT {{ limit }}
)
SELECT
  version,
  {{ columns.sessions }}
FROM (
  SELECT
    'before' AS version,
    {{ columns.sessions }}
  FROM replaced_sessions
  WHERE domain_sessionid IN (SELECT session_id FROM samples)
  UNION ALL
  SELECT
    'after' AS version,
    {{ columns.sessions }}
  FROM {{ table.sessions_this_run }}
  WHERE domain_sessionid IN (SELECT session_id FROM samples)
) AS versions
ORDER BY domain_sessionid, version DESC
