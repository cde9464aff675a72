SELECT
  {{ columns.page_views }}
FROM {{ table.page_views }}
WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.page_views_upsert_keys }})
  AND {{ range }}
