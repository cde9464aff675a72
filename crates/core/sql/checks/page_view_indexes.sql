-- Sessions whose page views are not numbered 1, 2, 3 and so on.
SELECT
  domain_sessionid,
  page_views,
  lowest_index,
  highest_index,
  indexes
FROM (
  SELECT
    domain_sessionid,
    COUNT(DISTINCT {{ fixed_text("page_view_id") }}) AS page_views,
    MIN(page_view_in_session_index) AS lowest_index,
    MAX(page_view_in_session_index) AS highest_index,
    COUNT(DISTINCT page_view_in_session_index) AS indexes
  FROM {{ checked }}
  WHERE domain_sessionid IS NOT NULL
  GROUP BY domain_sessionid
  HAVING {{ since_first }}
) AS numbered
WHERE indexes <> page_views
  OR lowest_index <> 1
  OR highest_index <> page_views
