SELECT
  {{ shown_columns }}
FROM {{ name }}
WHERE {{ condition }}
ORDER BY {{ time }} DESC
LIMIT {{ limit }}
