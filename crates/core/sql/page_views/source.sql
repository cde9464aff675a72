SELECT
  {{ source_columns }},
  {{ source_refused }}
FROM {{ source }}
