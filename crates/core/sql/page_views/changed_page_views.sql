{{ page_views }}
  AND domain_sessionid IN (SELECT domain_sessionid FROM {{ table.page_views_changed }})
