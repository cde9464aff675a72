-- The last run of a module, if production has fewer keys from the time that it wrote than it wrote.
SELECT
  last_run.run_id,
  last_run.distinct_key_count AS keys_written,
  found.key_count
FROM (
  SELECT
    run_id,
    distinct_key_count
  FROM {{ table.datamodel_metadata }}
  WHERE module = {{ text(module) }}
    AND run_start_tstamp = (SELECT MAX(run_start_tstamp) FROM {{ table.datamodel_metadata }} WHERE module = {{ text(module) }})
) AS last_run
CROSS JOIN (
  SELECT COUNT(DISTINCT {{ key }}) AS key_count
  FROM {{ checked }}
  WHERE start_tstamp >= (
      SELECT MIN(min_time_key)
      FROM {{ table.datamodel_metadata }}
      WHERE module = {{ text(module) }}
        AND run_start_tstamp = (SELECT MAX(run_start_tstamp) FROM {{ table.datamodel_metadata }} WHERE module = {{ text(module) }})
    )
    AND start_tstamp <= (
      SELECT MAX(max_time_key)
      FROM {{ table.datamodel_metadata }}
      WHERE module = {{ text(module) }}
        AND run_start_tstamp = (SELECT MAX(run_start_tstamp) FROM {{ table.datamodel_metadata }} WHERE module = {{ text(module) }})
    )
) AS found
WHERE found.key_count < last_run.distinct_key_count
