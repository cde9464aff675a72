;

@IF(@runtime_stage = 'creating', CREATE INDEX IF NOT EXISTS sessions_by_id ON @this_model USING HASH (domain_sessionid));
