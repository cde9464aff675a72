SELECT
  {{ columns.page_views_staged }}
FROM {{ explained }}
WHERE domain_sessionid = {{ session }}
ORDER BY page_view_in_session_index, start_tstamp
