SELECT
  COUNT(*) AS row_count,
  COUNT({{ time }}) AS rows_with_time,
  MIN({{ time }}) AS oldest,
  MAX({{ time }}) AS newest
FROM {{ name }}
WHERE {{ condition }}
