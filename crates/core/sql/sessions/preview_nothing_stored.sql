SELECT
  {{ columns.sessions }}
FROM {{ table.sessions_this_run }}
WHERE 1 = 0
