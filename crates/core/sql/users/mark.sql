SELECT {{ text(made) }} AS table_name
