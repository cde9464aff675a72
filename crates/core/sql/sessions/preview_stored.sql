SELECT
  {{ columns.sessions }}
FROM {{ table.sessions }}
WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.sessions_this_run }})
