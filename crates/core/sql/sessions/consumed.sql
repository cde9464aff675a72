{{ fingerprint("page_views_staged") }} IN (SELECT fingerprint FROM {{ table.sessions_input_this_run }})
  AND {{ removable }}
