SELECT
  CAST({{ text(source_name) }} AS {{ type.text }}) AS source,
  MAX({{ time }}) AS newest
FROM {{ source }}
WHERE {{ range }}
