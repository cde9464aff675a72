{{ computed }},
stored_sessions AS (
{{ stored }}
),
replaced_sessions AS (
SELECT
  {{ columns.sessions }}
FROM stored_sessions
WHERE {{ replaced }}
),
computed AS (
SELECT
  domain_sessionid,
  COUNT(*) AS row_count
FROM {{ table.sessions_this_run }}
WHERE domain_sessionid IS NOT NULL
GROUP BY domain_sessionid
),
replaced AS (
SELECT
  domain_sessionid,
  COUNT(*) AS row_count
FROM replaced_sessions
GROUP BY domain_sessionid
),
-- A session that has one row before and after: 1 for each column that changes.
pairs AS (
SELECT
  after_run.domain_sessionid AS session_id,
  CASE WHEN after_run.page_views < before_run.page_views THEN 1 ELSE 0 END AS page_views_less,
  {{ differences("sessions", "before_run", "after_run") }}
FROM {{ table.sessions_this_run }} AS after_run
INNER JOIN computed ON computed.domain_sessionid = after_run.domain_sessionid AND computed.row_count = 1
INNER JOIN replaced ON replaced.domain_sessionid = after_run.domain_sessionid AND replaced.row_count = 1
INNER JOIN replaced_sessions AS before_run ON before_run.domain_sessionid = after_run.domain_sessionid
),
changed_pairs AS (
SELECT
  session_id,
  page_views_less,
  {{ columns.sessions }}
FROM pairs
WHERE 1 IN (
  {{ columns.sessions }}
)
)
