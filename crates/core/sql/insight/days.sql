SELECT
  {{ day_of_time }} AS day_of_rows,
  COUNT(*) AS row_count,
  {{ sum_of_rows }} AS sum_of_rows
FROM {{ name }}
GROUP BY {{ day_of_time }}
