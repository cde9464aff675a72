{{ computed }},
dropped_sessions AS (
{{ dropped }}
)
SELECT
  reason,
  session_count,
  first_sample,
  last_sample
FROM dropped_sessions
ORDER BY reason
