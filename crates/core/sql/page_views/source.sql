SELECT
  {{ source_columns }}
FROM {{ source }}
