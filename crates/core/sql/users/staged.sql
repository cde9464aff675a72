SELECT
  domain_userid,
  start_tstamp,
  {{ fingerprint("sessions_userid_manifest_staged") }} AS fingerprint
FROM {{ table.sessions_userid_manifest_staged }}
