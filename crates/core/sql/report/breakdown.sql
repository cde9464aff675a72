{{ dated }},

chosen AS (
  SELECT session_day, name, title, page_views
  FROM dated
  WHERE session_day >= (SELECT {{ first_day }} FROM {{ table.sessions }})
),

most AS (
  SELECT name, MAX(title) AS title, COUNT(*) AS session_count
  FROM chosen
  GROUP BY name
  ORDER BY session_count DESC, name
  LIMIT 20
)

SELECT
  most.name,
  most.title,
  chosen.session_day,
  COUNT(*) AS session_count,
  SUM(CASE WHEN chosen.page_views = 1 THEN 1 ELSE 0 END) AS bounces
FROM chosen
INNER JOIN most
  ON chosen.name = most.name
GROUP BY most.name, most.title, chosen.session_day
ORDER BY most.name, chosen.session_day
