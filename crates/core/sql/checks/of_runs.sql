-- Production, if it has more keys than all runs of its module together have written, or some outside of the times that these
-- have seen.
SELECT
  found.key_count,
  written.keys_written,
  found.first_start_tstamp,
  written.earliest,
  found.last_start_tstamp,
  written.latest
FROM (
  SELECT
    COUNT(DISTINCT {{ key }}) AS key_count,
    MIN(start_tstamp) AS first_start_tstamp,
    MAX(start_tstamp) AS last_start_tstamp
  FROM {{ checked }}
) AS found
CROSS JOIN (
  SELECT
    COALESCE(SUM(distinct_key_count), 0) AS keys_written,
    MIN(min_time_key) AS earliest,
    MAX(max_time_key) AS latest
  FROM {{ table.datamodel_metadata }}
  WHERE module = {{ text(module) }}
) AS written
WHERE found.key_count > written.keys_written
  OR found.first_start_tstamp < written.earliest
  OR found.last_start_tstamp > written.latest
