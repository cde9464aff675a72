{{ fixed_text("page_view_id") }} <> ''
    AND domain_sessionid <> ''
    AND start_tstamp IS NOT NULL
