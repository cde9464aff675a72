EXISTS (
    SELECT 1
    FROM {{ table.sessions_metadata_this_run }}
    WHERE run_end_tstamp IS NOT NULL
      AND input_checksum = (SELECT {{ checksum("fingerprint") }} FROM {{ table.sessions_input_this_run }})
      AND sessions_checksum = (SELECT {{ checksum("domain_sessionid") }} FROM {{ table.sessions_keys_this_run }})
  )
