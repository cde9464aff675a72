-- Where sessions come from: the campaign's source, else the referrer's, else the referring host, by day: the twenty with the most sessions.
WITH dated AS (
  SELECT
    {{ day("start_tstamp") }} AS session_day,
    COALESCE(NULLIF(mkt_source, ''), NULLIF(refr_source, ''), NULLIF(refr_urlhost, ''), '') AS name,
    COALESCE(NULLIF(mkt_medium, ''), NULLIF(refr_medium, ''), '') AS title,
    page_views
  FROM {{ table.sessions }}
)
