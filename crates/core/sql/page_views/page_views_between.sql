SELECT COUNT(*) AS page_views
FROM {{ table.page_views }}
WHERE {{ range }}
