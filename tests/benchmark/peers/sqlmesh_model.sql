MODEL (
  name derived.sessions,
  kind INCREMENTAL_BY_UNIQUE_KEY (unique_key domain_sessionid),
  cron '@daily'
);
