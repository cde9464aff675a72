SELECT {{ lower_limit }} AS lower_limit
FROM {{ table.sessions_this_run }}
