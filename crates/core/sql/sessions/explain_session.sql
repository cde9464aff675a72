SELECT
  {{ columns.sessions }}
FROM {{ table.sessions }}
WHERE domain_sessionid = {{ session }}
