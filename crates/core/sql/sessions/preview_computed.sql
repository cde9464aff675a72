WITH {{ table.sessions_aggregates }} AS (
{{ aggregates }}
),
{{ table.sessions_this_run }} AS (
{{ this_run }}
),
{{ table.sessions_metadata_this_run }} AS (
SELECT
  COUNT(*) AS rows_this_run,
  COUNT(DISTINCT domain_sessionid) AS distinct_key_count
FROM {{ table.sessions_this_run }}
),
{{ table.sessions_userid_manifest_this_run }} AS (
{{ manifest }}
)
