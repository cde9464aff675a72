UPDATE {{ table.sessions_metadata_this_run }}
SET id = 'run'
WHERE input_checksum = (SELECT {{ checksum("fingerprint") }} FROM {{ table.sessions_input_this_run }})
  AND sessions_checksum = (SELECT {{ checksum("domain_sessionid") }} FROM {{ table.sessions_keys_this_run }})
