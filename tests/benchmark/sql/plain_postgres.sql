-- The plain formulation that main is measured against: aggregates, lasts and their join as logged tables of their own with statistics (without
-- which the planner picks a quadratic plan), then metadata, manifest and the upsert, one statement after the other.
CREATE SCHEMA IF NOT EXISTS derived;
ANALYZE scratch.page_views_staged;
CREATE TABLE scratch.plain_aggregates AS
SELECT
  domain_sessionid,
  MIN(start_tstamp) AS start_tstamp,
  MAX(end_tstamp) AS end_tstamp,
  COUNT(DISTINCT page_view_id) AS page_views,
  CAST(SUM(engaged_time_in_s) AS BIGINT) AS engaged_time_in_s
FROM scratch.page_views_staged
GROUP BY domain_sessionid;
ANALYZE scratch.plain_aggregates;
CREATE TABLE scratch.plain_lasts AS
SELECT
  p.domain_sessionid,
  p.page_title AS last_page_title,
  p.page_url AS last_page_url,
  p.page_urlscheme AS last_page_urlscheme,
  p.page_urlhost AS last_page_urlhost,
  p.page_urlpath AS last_page_urlpath,
  p.page_urlquery AS last_page_urlquery,
  p.page_urlfragment AS last_page_urlfragment
FROM scratch.page_views_staged AS p
INNER JOIN scratch.plain_aggregates AS a
  ON p.domain_sessionid = a.domain_sessionid AND p.page_view_in_session_index = a.page_views;
ANALYZE scratch.plain_lasts;
CREATE TABLE scratch.plain_sessions_this_run AS
SELECT
  p.app_id,
  p.domain_sessionid,
  p.domain_sessionidx,
  a.start_tstamp,
  a.end_tstamp,
  p.user_id,
  p.domain_userid,
  p.network_userid,
  a.page_views,
  a.engaged_time_in_s,
  CAST(EXTRACT(EPOCH FROM date_trunc('second', a.end_tstamp) - date_trunc('second', a.start_tstamp)) AS BIGINT) AS absolute_time_in_s,
  p.page_title AS first_page_title,
  p.page_url AS first_page_url,
  p.page_urlscheme AS first_page_urlscheme,
  p.page_urlhost AS first_page_urlhost,
  p.page_urlpath AS first_page_urlpath,
  p.page_urlquery AS first_page_urlquery,
  p.page_urlfragment AS first_page_urlfragment,
  l.last_page_title,
  l.last_page_url,
  l.last_page_urlscheme,
  l.last_page_urlhost,
  l.last_page_urlpath,
  l.last_page_urlquery,
  l.last_page_urlfragment,
  p.page_referrer AS referrer,
  p.refr_urlscheme,
  p.refr_urlhost,
  p.refr_urlpath,
  p.refr_urlquery,
  p.refr_urlfragment,
  p.refr_medium,
  p.refr_source,
  p.refr_term,
  p.mkt_medium,
  p.mkt_source,
  p.mkt_term,
  p.mkt_content,
  p.mkt_campaign,
  p.mkt_clickid,
  p.mkt_network,
  p.geo_country,
  p.geo_region,
  p.geo_region_name,
  p.geo_city,
  p.geo_zipcode,
  p.geo_latitude,
  p.geo_longitude,
  p.geo_timezone,
  p.user_ipaddress,
  p.useragent,
  p.br_renderengine,
  p.br_lang,
  p.os_timezone,
  p.category,
  p.primary_impact,
  p.reason,
  p.spider_or_robot,
  p.useragent_family,
  p.useragent_major,
  p.useragent_minor,
  p.useragent_patch,
  p.useragent_version,
  p.os_family,
  p.os_major,
  p.os_minor,
  p.os_patch,
  p.os_patch_minor,
  p.os_version,
  p.device_family,
  p.device_class,
  p.agent_class,
  p.agent_name,
  p.agent_name_version,
  p.agent_name_version_major,
  p.agent_version,
  p.agent_version_major,
  p.device_brand,
  p.device_name,
  p.device_version,
  p.layout_engine_class,
  p.layout_engine_name,
  p.layout_engine_name_version,
  p.layout_engine_name_version_major,
  p.layout_engine_version,
  p.layout_engine_version_major,
  p.operating_system_class,
  p.operating_system_name,
  p.operating_system_name_version,
  p.operating_system_version
FROM scratch.page_views_staged AS p
INNER JOIN scratch.plain_aggregates AS a
  ON p.domain_sessionid = a.domain_sessionid AND p.start_tstamp = a.start_tstamp
INNER JOIN scratch.plain_lasts AS l ON l.domain_sessionid = p.domain_sessionid
WHERE p.page_view_in_session_index = 1;
ANALYZE scratch.plain_sessions_this_run;
CREATE TABLE scratch.plain_run_metadata AS
SELECT
  now() AS run_id,
  COUNT(*) AS rows_this_run,
  COUNT(DISTINCT domain_sessionid) AS distinct_key_count,
  MIN(start_tstamp) AS min_time_key,
  MAX(start_tstamp) AS max_time_key
FROM scratch.plain_sessions_this_run;
CREATE TABLE scratch.plain_manifest_this_run AS
SELECT domain_userid, MIN(start_tstamp) AS start_tstamp FROM scratch.plain_sessions_this_run GROUP BY domain_userid;
CREATE TABLE scratch.plain_upsert_limit AS
SELECT MIN(start_tstamp) - INTERVAL '30 days' AS lower_limit FROM scratch.plain_sessions_this_run;
CREATE TABLE IF NOT EXISTS derived.plain_sessions (LIKE scratch.plain_sessions_this_run);
CREATE TABLE IF NOT EXISTS derived.plain_metadata (LIKE scratch.plain_run_metadata);
BEGIN TRANSACTION;
DELETE FROM derived.plain_sessions
WHERE domain_sessionid IN (SELECT domain_sessionid FROM scratch.plain_sessions_this_run)
  AND start_tstamp >= (SELECT lower_limit FROM scratch.plain_upsert_limit);
INSERT INTO derived.plain_sessions SELECT * FROM scratch.plain_sessions_this_run;
INSERT INTO derived.plain_metadata SELECT * FROM scratch.plain_run_metadata;
COMMIT;
