1 = (SELECT COUNT(*) FROM {{ table.page_views_upsert_limit }})
