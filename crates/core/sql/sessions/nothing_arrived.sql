domain_sessionid IS NOT NULL
  AND {{ removable }}
  AND NOT EXISTS (
    SELECT 1
    FROM (
{{ arrived }}
    ) AS arrived
    WHERE arrived.domain_sessionid = {{ row.page_views_staged }}.domain_sessionid
  )
