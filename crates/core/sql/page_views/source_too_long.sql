OCTET_LENGTH({{ value }}) > {{ longest }}
