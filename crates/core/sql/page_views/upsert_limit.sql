SELECT {{ minus_days("MIN(start_tstamp)", upsert_lookback_days) }} AS lower_limit
FROM {{ table.page_views_sessions }}
