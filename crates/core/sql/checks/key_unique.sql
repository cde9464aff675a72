-- Keys with more than one row.
SELECT
  {{ key }},
  COUNT(*) AS row_count
FROM {{ checked }}
WHERE {{ since }}
  AND {{ key }} IS NOT NULL
GROUP BY {{ key }}
HAVING COUNT(*) > 1
