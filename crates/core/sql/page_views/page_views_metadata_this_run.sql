-- The row of this run as it begins, without seals: each is set by the transaction that fills what it seals.
SELECT
  metadata.*,
  CAST(NULL AS {{ type.big_integer }}) AS input_rows,
  CAST(NULL AS {{ type.big_integer }}) AS key_rows,
  CAST(NULL AS {{ type.big_integer }}) AS stored_rows,
  CAST(NULL AS {{ type.big_integer }}) AS changed_rows,
  CAST(NULL AS {{ type.big_integer }}) AS page_views_checksum
FROM (
{{ metadata }}
) AS metadata
