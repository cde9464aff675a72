SELECT
  domain_userid,
  MIN(start_tstamp) AS start_tstamp
FROM {{ table.sessions_keys_this_run }}
GROUP BY domain_userid
