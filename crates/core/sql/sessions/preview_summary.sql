{{ tables }}
SELECT
  found.row_count AS production_rows,
  fresh.rows_this_run AS rows_to_insert,
  going.row_count AS rows_to_delete,
  kept.row_count - going.row_count AS old_rows_that_stay,
  fresh.distinct_key_count AS sessions,
  sorted.inserted,
  sorted.in_several_rows,
  sorted.one_row - changed.session_count AS unchanged,
  changed.session_count AS changed,
  changed.shrunk,
  staged.page_views,
  users.user_count AS users
FROM {{ table.sessions_metadata_this_run }} AS fresh
CROSS JOIN (SELECT COUNT(*) AS row_count FROM {{ production }}) AS found
CROSS JOIN (SELECT COUNT(*) AS row_count FROM stored_sessions) AS kept
CROSS JOIN (SELECT COUNT(*) AS row_count FROM replaced_sessions) AS going
CROSS JOIN (
  SELECT
    COUNT(CASE WHEN replaced.domain_sessionid IS NULL THEN 1 END) AS inserted,
    COUNT(CASE WHEN replaced.row_count > 1 OR (replaced.row_count = 1 AND computed.row_count > 1) THEN 1 END) AS in_several_rows,
    COUNT(CASE WHEN replaced.row_count = 1 AND computed.row_count = 1 THEN 1 END) AS one_row
  FROM computed
  LEFT JOIN replaced ON replaced.domain_sessionid = computed.domain_sessionid
) AS sorted
CROSS JOIN (
  SELECT
    COUNT(*) AS session_count,
    COUNT(CASE WHEN page_views_less = 1 THEN 1 END) AS shrunk
  FROM changed_pairs
) AS changed
CROSS JOIN (SELECT COUNT(*) AS page_views FROM {{ table.page_views_staged }}) AS staged
CROSS JOIN (SELECT COUNT(domain_userid) AS user_count FROM {{ table.sessions_userid_manifest_this_run }}) AS users
