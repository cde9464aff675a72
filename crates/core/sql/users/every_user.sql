SELECT
  domain_userid,
  MIN(start_tstamp) AS start_tstamp,
  CAST(NULL AS {{ type.big_integer }}) AS fingerprint
FROM {{ table.sessions }}
WHERE domain_userid IS NOT NULL
GROUP BY domain_userid
