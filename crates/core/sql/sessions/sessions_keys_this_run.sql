-- Which rows this run writes: of each what is decided by before the commit.
SELECT
  {{ columns.sessions_keys_this_run }}
FROM {{ sessions }}
