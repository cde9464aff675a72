{{ computed }},
multiplied_sessions AS (
{{ multiplied }}
)
SELECT
  session_count,
  first_sample,
  last_sample
FROM multiplied_sessions
