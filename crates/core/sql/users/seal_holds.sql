UPDATE {{ table.users_metadata_this_run }}
SET id = 'run'
WHERE userids_checksum = (SELECT {{ checksum("domain_userid") }} FROM {{ table.users_userids_this_run }})
  AND users_checksum = (SELECT {{ checksum(fingerprint("users_this_run")) }} FROM {{ table.users_this_run }})
