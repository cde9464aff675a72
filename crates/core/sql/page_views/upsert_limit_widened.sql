-- An earlier page view of a session of this run may begin before the lookback: the limit then moves down to it.
SELECT MIN(lower_limit) AS lower_limit
FROM (
  SELECT {{ minus_days("MIN(start_tstamp)", upsert_lookback_days) }} AS lower_limit
  FROM {{ table.page_views_sessions }}
  UNION ALL
  SELECT MIN(start_tstamp) AS lower_limit
  FROM {{ table.page_views_upsert_keys }}
) AS limits
