SELECT COUNT(*) AS failures
FROM (
{{ found }}
) AS found
