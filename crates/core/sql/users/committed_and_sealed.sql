EXISTS (
    SELECT 1
    FROM {{ table.users_metadata_this_run }}
    WHERE run_end_tstamp IS NOT NULL
      AND userids_checksum IS NOT NULL
  )
