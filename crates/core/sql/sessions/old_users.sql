domain_userid IN (SELECT domain_userid FROM {{ table.sessions_userid_manifest_this_run }})
