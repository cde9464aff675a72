OCTET_LENGTH(RTRIM({{ value }}, ' ')) > {{ longest }} OR OCTET_LENGTH(RTRIM({{ value }}, ' ')) > CHAR_LENGTH(RTRIM({{ value }}, ' '))
