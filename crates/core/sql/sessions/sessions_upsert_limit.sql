-- From where on production is looked through for old copies of this run's sessions.
SELECT {{ minus_days("MIN(start_tstamp)", lookup_days) }} AS lower_limit
FROM {{ table.sessions_keys_this_run }}
