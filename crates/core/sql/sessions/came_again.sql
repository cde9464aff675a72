{{ consumed }}
  AND EXISTS (
    SELECT 1
    FROM (
{{ arrived }}
    ) AS arrived
    WHERE arrived.page_view_id = {{ row.page_views_staged }}.page_view_id
      AND arrived.of_session = COALESCE('of ' || {{ row.page_views_staged }}.domain_sessionid, 'none')
  )
