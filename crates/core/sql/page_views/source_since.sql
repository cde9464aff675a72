SELECT
  {{ source_columns }}
FROM {{ source }}
WHERE ({{ range }}) OR {{ time }} IS NULL
