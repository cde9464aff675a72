{{ sealed }}
  AND domain_sessionid IN (SELECT domain_sessionid FROM {{ table.sessions_keys_this_run }})
