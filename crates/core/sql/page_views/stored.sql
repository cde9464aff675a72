SELECT
  {{ columns.page_views }}
FROM {{ table.page_views }}
WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ keys }})
  AND {{ range }}
