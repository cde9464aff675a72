domain_userid IN (SELECT domain_userid FROM {{ table.users_userids_this_run }})
  AND EXISTS (SELECT 1 FROM {{ table.users_metadata_this_run }} WHERE run_end_tstamp IS NULL)
