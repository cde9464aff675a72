start_tstamp >= (SELECT {{ minus_days("MIN(start_tstamp)", lookup_days) }} FROM {{ table.sessions_this_run }})
