UPDATE {{ table.users_metadata_this_run }}
SET userids_checksum = (
  SELECT {{ checksum("domain_userid") }}
  FROM (
    SELECT DISTINCT domain_userid
    FROM {{ table.sessions_userid_manifest_read }}
    WHERE domain_userid IS NOT NULL
  ) AS users_read
)
WHERE run_end_tstamp IS NULL
