-- From where on this run reads: so far before the newest row that a committed run has seen, or from the first row.
SELECT
  COALESCE({{ minus_days("MAX(newest)", page_views_lookback_days) }}, CAST('0001-01-01 00:00:00' AS {{ type.timestamp }})) AS lower_limit
FROM {{ table.page_views_source_seen }}
WHERE source = {{ text(source_name) }}
