{{ column }} IS NOT NULL AND COALESCE({{ value }} NOT BETWEEN CAST('0001-01-01 00:00:00' AS {{ type.timestamp }}) AND CAST('9999-12-31 23:59:59.999999' AS {{ type.timestamp }}), TRUE)
