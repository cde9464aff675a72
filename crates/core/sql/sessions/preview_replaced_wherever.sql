start_tstamp IS NOT NULL
