SELECT
  {{ shown_columns }}
FROM {{ name }}
WHERE {{ condition }}
LIMIT {{ limit }}
