changed_rows = (SELECT COUNT(*) FROM {{ table.page_views_changed }})
