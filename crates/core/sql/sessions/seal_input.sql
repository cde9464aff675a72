UPDATE {{ table.sessions_metadata_this_run }}
SET input_checksum = (SELECT {{ checksum("fingerprint") }} FROM {{ table.sessions_input_this_run }})
WHERE run_end_tstamp IS NULL
