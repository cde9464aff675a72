-- History: the sessions of one run again, `history` times, each 14 days earlier and under other ids.
CREATE TEMPORARY TABLE history (LIKE derived.{table});
INSERT INTO history SELECT * FROM derived.{table};
DO $$
BEGIN
  FOR number IN 1..{history} LOOP
    UPDATE history SET
      domain_sessionid = left(domain_sessionid, 36) || '-' || number,
      start_tstamp = start_tstamp - INTERVAL '14 days',
      end_tstamp = end_tstamp - INTERVAL '14 days';
    INSERT INTO derived.{table} SELECT * FROM history;
  END LOOP;
END $$;
