{{ tables }}
SELECT
  {{ sums("sessions") }}
FROM changed_pairs
