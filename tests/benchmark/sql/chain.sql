-- Page views of a file as one script of the engine's SQL has them: the newest form of each, numbered in its session. What follows
-- it computes sessions of them. No value is checked, and nothing is there to be merged with.
CREATE SCHEMA scratch;
CREATE SCHEMA derived;

CREATE TABLE derived.page_views AS
SELECT * REPLACE (
  ROW_NUMBER() OVER (PARTITION BY domain_sessionid ORDER BY start_tstamp, page_view_id) AS page_view_in_session_index,
  COUNT(*) OVER (PARTITION BY domain_sessionid) AS page_views_in_session
)
FROM (
  SELECT *
  FROM read_csv('{file}', header = true, nullstr = '', allow_quoted_nulls = false, types = {{types}})
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY domain_sessionid, page_view_id
    ORDER BY end_tstamp DESC, engaged_time_in_s DESC
  ) = 1
) AS newest;

CREATE VIEW scratch.page_views_staged AS
SELECT *
FROM derived.page_views;

