-- What was sealed is as it was, and of it came all that was computed: every row that came and every row that was stored is a
-- form of a page view, every page view has a number, every session one that is its first, and those of several rows stand
-- among the repeated ones. So the view of this run has each of them once.
UPDATE {{ table.page_views_metadata_this_run }}
SET id = 'run'
WHERE {{ limit_holds }}
  AND changed_rows = (SELECT COUNT(*) FROM {{ table.page_views_changed }})
  AND key_rows = (SELECT COUNT(*) FROM {{ table.page_views_upsert_keys }})
  AND stored_rows = (SELECT COUNT(*) FROM {{ table.page_views_stored }})
  AND input_rows = (
    SELECT COUNT(*)
    FROM {{ table.page_views_arrived }}
    WHERE {{ is_page_view }}
  )
  AND input_rows = (SELECT COALESCE(SUM(copies), 0) FROM {{ table.page_views_new }})
  AND input_rows + stored_rows = (SELECT COALESCE(SUM(forms), 0) FROM {{ table.page_views_forms }})
  AND rows_this_run = (SELECT COUNT(*) FROM {{ table.page_views_forms }})
  AND (SELECT {{ checksum("domain_sessionid") }} FROM {{ table.page_views_sessions }}) = (
    SELECT {{ checksum("domain_sessionid") }}
    FROM {{ table.page_views_numbers }}
    WHERE number = 1
  )
  AND (SELECT {{ checksum(fixed_text("page_view_id")) }} FROM {{ table.page_views_repeated }}) = (
    SELECT {{ checksum("page_view_id") }}
    FROM {{ table.page_views_numbers }}
    WHERE repeated
  )
  AND page_views_checksum = (SELECT {{ checksum("page_view_id") }} FROM {{ table.page_views_numbers }})
