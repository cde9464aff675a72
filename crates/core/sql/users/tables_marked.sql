SELECT table_name
FROM {{ table.users_tables_made }}
