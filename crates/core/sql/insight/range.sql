SELECT
  COUNT(*) AS row_count,
  MIN({{ time }}) AS oldest,
  MAX({{ time }}) AS newest
FROM {{ name }}
WHERE {{ condition }}
