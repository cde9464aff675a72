-- From where on production is looked through for rows of this run's sessions.
SELECT {{ minus_days("MIN(start_tstamp)", lookup_days) }} AS lower_limit
FROM {{ table.page_views_sessions }}
