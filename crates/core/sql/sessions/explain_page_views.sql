SELECT
  {{ columns.page_views_staged }}{{ own_computed() }}
FROM {{ explained }}
WHERE domain_sessionid = {{ session }}
ORDER BY page_view_in_session_index, start_tstamp
