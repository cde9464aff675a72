-- Sessions that end before they start, or whose time is not that from start to end.
SELECT
  domain_sessionid,
  start_tstamp,
  end_tstamp,
  engaged_time_in_s,
  absolute_time_in_s,
  {{ seconds_between("start_tstamp", "end_tstamp") }} AS seconds_from_start_to_end
FROM {{ checked }}
WHERE {{ since }}
  AND (
    end_tstamp < start_tstamp
    OR engaged_time_in_s < 0
    OR absolute_time_in_s <> {{ seconds_between("start_tstamp", "end_tstamp") }}
    OR (absolute_time_in_s IS NULL AND start_tstamp IS NOT NULL AND end_tstamp IS NOT NULL)
  )
