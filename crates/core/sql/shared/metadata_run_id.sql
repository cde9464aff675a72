-- Only where there is none yet: the modules of one run share it.
SELECT {{ now() }} AS run_id
FROM (SELECT 1 AS one) AS one_row
WHERE NOT EXISTS (SELECT 1 FROM {{ table.metadata_run_id }})
