domain_userid = 'seed' AND start_tstamp = CAST('1970-01-01 00:00:00' AS {{ type.timestamp }})
