UPDATE {{ table.users_metadata_this_run }}
SET userids_checksum = CAST(NULL AS {{ type.big_integer }})
WHERE run_end_tstamp IS NOT NULL
