SELECT
  domain_sessionid,
  page_views
FROM {{ table.sessions }}
WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.sessions_upsert_keys }})
  AND {{ range }}
