SELECT *
FROM (
{{ found }}
) AS found
LIMIT {{ limit }}
