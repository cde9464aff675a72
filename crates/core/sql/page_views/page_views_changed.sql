-- The sessions of which production may have other rows than this run's, and how many page views they have: what is written. A page
-- view that stands in one row, and in one of production, is as it was: what came once, just as it is stored, is one row. What came
-- in several rows, though these are the same, is not looked at again: its session is written.
SELECT
  numbers.domain_sessionid,
  numbers.number_of_all AS page_views
FROM {{ table.page_views_numbers }} AS numbers
LEFT JOIN (
  SELECT session_id
  FROM (
    SELECT
      domain_sessionid AS session_id,
      {{ fixed_text("page_view_id") }} AS id,
      page_view_in_session_index AS stored_number,
      page_views_in_session AS stored_number_of_all
    FROM {{ table.page_views }}
    WHERE domain_sessionid IN (SELECT domain_sessionid FROM {{ table.page_views_upsert_keys }})
      AND {{ range }}
  ) AS stored
  INNER JOIN {{ table.page_views_numbers }} AS numbers
    ON numbers.domain_sessionid = session_id
    AND numbers.page_view_id = id
  GROUP BY session_id
  HAVING MIN(CASE WHEN number = stored_number AND number_of_all = stored_number_of_all AND NOT repeated THEN 1 ELSE 0 END) = 1
    AND COUNT(DISTINCT number) = MAX(number_of_all)
    AND COUNT(*) = MAX(number_of_all)
) AS unchanged
  ON unchanged.session_id = numbers.domain_sessionid
WHERE numbers.number = 1
  AND unchanged.session_id IS NULL
