start_tstamp >= (SELECT {{ minus_days("MIN(start_tstamp)", upsert_lookback_days) }} FROM {{ table.sessions_this_run }})
