-- What production has of this run's sessions, but for page views that came just as they are stored: what came stands for these.
-- The same are two rows by all columns but the numbers, which are computed anew: a hash would be no proof.
WITH differing AS (
  SELECT
    stored.domain_sessionid AS session_id,
    stored.id AS id
  FROM (
    SELECT
    {{ columns.page_views }},
    {{ fixed_text("page_view_id") }} AS id
    FROM {{ table.page_views }}
    WHERE {{ range }}
  ) AS stored
  INNER JOIN (
    SELECT
    {{ columns_with("page_views", end_tstamp="COALESCE(end_tstamp, start_tstamp)") }},
    {{ fixed_text("page_view_id") }} AS id
    FROM {{ table.page_views_arrived }}
    WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.page_views_upsert_keys }})
      AND start_tstamp IS NOT NULL
  ) AS arrived
    ON arrived.domain_sessionid = stored.domain_sessionid
    AND arrived.id = stored.id
  WHERE CASE WHEN {{ same("page_views", "stored", "arrived", ["page_view_in_session_index", "page_views_in_session"]) }} THEN 0 ELSE 1 END = 1
  GROUP BY stored.domain_sessionid, stored.id
),
came_again AS (
  SELECT
    came.domain_sessionid AS session_id,
    came.page_view_id AS id
  FROM {{ table.page_views_new }} AS came
  LEFT JOIN differing
    ON differing.session_id = came.domain_sessionid
    AND differing.id = came.page_view_id
  WHERE differing.session_id IS NULL
)
{{ stored }}
  AND NOT EXISTS (
    SELECT 1
    FROM came_again
    WHERE session_id = domain_sessionid
      AND id = {{ fixed_text("page_view_id") }}
  )
