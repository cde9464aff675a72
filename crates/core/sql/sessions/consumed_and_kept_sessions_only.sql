{{ fingerprint("page_views_staged") }} IN (SELECT fingerprint FROM {{ table.sessions_input_this_run }})
  AND {{ sealed }}
  AND domain_sessionid IN (SELECT domain_sessionid FROM {{ table.sessions_this_run }})
