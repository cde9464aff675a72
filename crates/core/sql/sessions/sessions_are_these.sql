-- The page views give the very rows that were decided on, or these are in production.
UPDATE {{ table.sessions_metadata_this_run }}
SET id = 'run'
WHERE run_end_tstamp IS NOT NULL
  OR (SELECT {{ checksum(fingerprint("sessions_keys_this_run")) }} FROM {{ sessions }}) = (
  SELECT {{ checksum(fingerprint("sessions_keys_this_run")) }}
  FROM {{ table.sessions_keys_this_run }}
)
