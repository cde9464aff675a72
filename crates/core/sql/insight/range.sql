SELECT COUNT(*) AS row_count
FROM {{ name }}
WHERE {{ condition }}
