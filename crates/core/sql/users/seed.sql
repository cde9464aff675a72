-- Who made the manifest gives it this row; who comes after finds it there, or has taken it out.
SELECT
  'seed' AS domain_userid,
  CAST('1970-01-01 00:00:00' AS {{ type.timestamp }}) AS start_tstamp
FROM (SELECT 1 AS one) AS one_row
WHERE EXISTS (SELECT 1 FROM {{ table.users_tables_made }} WHERE table_name = 'users_manifest')
