UPDATE {{ table.users_metadata_this_run }}
SET userids_checksum = CAST(NULL AS {{ type.big_integer }})
WHERE run_end_tstamp IS NULL
  OR userids_checksum <> (SELECT {{ checksum("domain_userid") }} FROM {{ table.users_userids_this_run }})
  OR users_checksum <> (SELECT {{ checksum(fingerprint("users_this_run")) }} FROM {{ table.users_this_run }})
