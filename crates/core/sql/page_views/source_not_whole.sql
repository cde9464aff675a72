{{ column }} IS NOT NULL AND COALESCE(NOT (TRUNC({{ column }}) BETWEEN {{ lowest }} AND {{ highest }} AND {{ column }} = TRUNC({{ column }})), TRUE)
