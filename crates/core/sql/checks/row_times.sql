-- Rows that end before they start, or were engaged for less than no time.
SELECT
  {{ key }},
  start_tstamp,
  end_tstamp,
  engaged_time_in_s
FROM {{ checked }}
WHERE {{ since }}
  AND (end_tstamp < start_tstamp OR engaged_time_in_s < 0)
