-- Every page view of each session that has an arrival, in its newest form, with its number. A row that came or was stored is
-- taken as it is if it is the only one of its page view.
WITH numbers AS (
  SELECT
    domain_sessionid AS session_id,
    page_view_id AS id,
    repeated AS is_repeated,
    number,
    number_of_all
  FROM {{ table.page_views_numbers }}
),
forms AS (
  SELECT
  {{ columns_with("page_views", end_tstamp="COALESCE(end_tstamp, start_tstamp)") }},
  FALSE AS repeated
  FROM {{ table.page_views_arrived }}
  WHERE start_tstamp IS NOT NULL
  UNION ALL
  SELECT
  {{ columns.page_views }},
  FALSE AS repeated
  FROM {{ table.page_views_stored }}
  UNION ALL
  SELECT
  {{ columns.page_views }},
  TRUE AS repeated
  FROM {{ table.page_views_repeated }}
)
SELECT
  {{ columns_with("page_views", page_view_in_session_index="CAST(number AS " ~ type.integer ~ ")", page_views_in_session="CAST(number_of_all AS " ~ type.integer ~ ")") }}
FROM forms
INNER JOIN numbers
  ON session_id = domain_sessionid
  AND id = {{ fixed_text("page_view_id") }}
  AND is_repeated = repeated
