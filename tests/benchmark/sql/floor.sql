-- The floor: the first row of each session, copied.
CREATE OR REPLACE TABLE scratch.floor AS
SELECT * FROM scratch.page_views_staged WHERE page_view_in_session_index = 1;
