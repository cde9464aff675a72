domain_userid IN (SELECT domain_userid FROM {{ table.users_userids_this_run }})
  AND NOT ({{ seed }})
  AND {{ sealed }}
