-- History: the sessions of one run again, `history` times, each 14 days earlier and under other ids.
INSERT INTO derived.{table}
SELECT (jsonb_populate_record(sessions, jsonb_build_object(
  'domain_sessionid', domain_sessionid || '-' || number,
  'start_tstamp', start_tstamp - number * INTERVAL '14 days',
  'end_tstamp', end_tstamp - number * INTERVAL '14 days'
))).*
FROM derived.{table} AS sessions, generate_series(1, {history}) AS number;
