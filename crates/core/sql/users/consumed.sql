{{ fingerprint("sessions_userid_manifest_staged") }} IN (SELECT fingerprint FROM {{ table.sessions_userid_manifest_read }})
  AND {{ sealed }}
