UPDATE {{ metadata_this_run }}
SET run_end_tstamp = {{ now() }}
WHERE run_end_tstamp IS NULL
