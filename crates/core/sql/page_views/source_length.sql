SUBSTRING({{ value }}, 1, 40) || ' has ' || CAST(OCTET_LENGTH({{ value }}) AS {{ type.text }})
