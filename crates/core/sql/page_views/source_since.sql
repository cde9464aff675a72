SELECT
  {{ source_columns }},
  {{ source_refused }}
FROM {{ source }}
WHERE ({{ range }}) OR {{ time }} IS NULL
