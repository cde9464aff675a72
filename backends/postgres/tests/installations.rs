//! Postgres as people have it: behind a pooler, production partitioned, roles that may do little, names in capitals,
//! servers that only read. On a real server.

use flate2::read::GzDecoder;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use websessions_conformance::{Case, Harness};
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::error::{Error, WarehouseErrorKind, chain};
use websessions_core::model::sessions::tables::{PAGE_VIEWS_STAGED, SESSIONS, SESSIONS_USERID_MANIFEST_STAGED};
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::model::users::tables::{USERS, USERS_MANIFEST};
use websessions_core::model::{self, sessions, users};
use websessions_core::plan::{Phase, Statement};
use websessions_core::preflight;
use websessions_core::rows::Value;
use websessions_core::run::Job;
use websessions_core::table::{Column, ColumnType, TableName};
use websessions_core::warehouse::Warehouse;
use websessions_postgres::{Postgres, Redshift};
use websessions_test_servers::{Bouncer, Cluster, FUNCTIONS, PATIENCE};

const PHASES: [Phase; 2] = [Phase::Main, Phase::Complete];

/// Connections to a URL.
struct At(String);

async fn connect(factory: &dyn BackendFactory, url: &str) -> Result<Arc<dyn Warehouse>, String> {
    let settings = Settings::new(factory, [("url", url)]);
    let connected = factory.connect(&settings.map_err(|error| error.to_string())?).await;
    connected.map_err(|error| chain(&error))
}

#[async_trait]
impl Harness for At {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        connect(&Postgres, &self.0).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Appends the first page views of the sample that the README runs.
async fn stage_sample(case: &Case, count: usize) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/page_views.csv.gz");
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let text = std::io::read_to_string(GzDecoder::new(file)).map_err(|error| error.to_string())?;
    case.stage_csv(&text.lines().take(count + 1).collect::<Vec<_>>().join("\n")).await
}

async fn count(case: &Case, sql: &str) -> Result<i64, String> {
    let rows = case.warehouse.query(sql).await.map_err(|error| format!("{sql}: {error}"))?;
    Ok(rows.rows.first().and_then(|row| row.first()).map_or(0, |value| value.as_integer()))
}

fn ensure(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}

fn quoted(case: &Case, table: &str) -> Result<String, String> {
    Ok(case.warehouse.dialect().table(&case.name(table)?))
}

/// Phases of a run that must fail: the error, and its hint.
async fn refused(case: &Case, phases: &[Phase]) -> Result<(WarehouseErrorKind, String), String> {
    let error = match case.phases(phases).await {
        Ok(_) => return Err("it was not refused".to_owned()),
        Err(error) => error.error,
    };
    let hint = error.hint().unwrap_or_default();
    match error {
        Error::Unit { source, .. } | Error::Warehouse { source, .. } => {
            Ok((source.kind, format!("{}\n{hint}", source.message)))
        }
        other => Err(format!("another error: {other}: {hint}")),
    }
}

/// A pooler of transactions, with fewer connections than clients: two runs behind it, and a cancellation that stops our own
/// statement and nobody else's.
async fn behind_a_pooler_of_transactions(cluster: &Cluster) -> Result<(), String> {
    let bouncer = Bouncer::start(cluster, 4).map_err(|error| error.to_string())?;
    let case = Case::new(&At(bouncer.url()), json!({})).await?;
    stage_sample(&case, 300).await?;
    case.run().await?;
    ensure(count(&case, &format!("SELECT COUNT(*) FROM {}", quoted(&case, SESSIONS)?)).await? > 20, || {
        "too few sessions".to_owned()
    })?;
    let (ours, others) = (connect(&Postgres, &bouncer.url()).await?, connect(&Postgres, &bouncer.url()).await?);
    // Both wait for a table.
    let direct = case.through(connect(&Postgres, &cluster.url()).await?);
    let held = format!("{}.held", case.variables.scratch_schema);
    direct.sql(format!("CREATE TABLE {held} (number int)")).await?;
    hold(&direct, "pooled", &format!("LOCK TABLE {held}")).await?;
    let waits = Statement::new("waits", format!("SELECT COUNT(*) FROM {held}"));
    let waiting = format!("SELECT COUNT(*) FROM pg_locks WHERE relation = '{held}'::regclass AND NOT granted");
    let (ours, others, (seen, released)) = tokio::join!(ours.execute(&waits), others.execute(&waits), async {
        let seen = async {
            until(&direct, &waiting, 2).await?;
            ours.cancel().await.map_err(|error| error.to_string())?;
            until(&direct, &waiting, 1).await
        };
        (seen.await, direct.sql("ROLLBACK PREPARED 'pooled'").await)
    });
    seen.and(released)?;
    ensure(ours.is_err_and(|error| error.kind == WarehouseErrorKind::Cancelled), || "ours goes on".to_owned())?;
    ensure(others.is_ok(), || format!("another client's statement was stopped: {others:?}"))?;
    case.drop().await
}

/// Leaves a transaction open that has done something: no session's, until it is committed or rolled back by its name.
/// <https://www.postgresql.org/docs/current/sql-prepare-transaction.html>
async fn hold(case: &Case, name: &str, sql: &str) -> Result<(), String> {
    let script = Statement::new("holds", format!("BEGIN; {sql}; PREPARE TRANSACTION '{name}'"));
    case.warehouse.execute_script(&script).await.map(drop).map_err(|error| error.to_string())
}

/// Waits until a query counts so many.
async fn until(case: &Case, query: &str, number: i64) -> Result<(), String> {
    let counted = async {
        while count(case, query).await? != number {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, counted).await.map_err(|_| format!("never {number}: {query}"))?
}

/// Production as one table a day: main looks the keys up in one read, not partition by partition, and the upsert replaces.
async fn production_partitioned_by_day(cluster: &Cluster) -> Result<(), String> {
    let case = Case::new(&At(cluster.url()), json!({})).await?;
    let (schema, sessions) = (case.variables.output_schema.clone(), case.name(SESSIONS)?);
    let dialect = case.warehouse.dialect();
    case.sql(dialect.create_schema(&schema).sql).await?;
    let created = dialect.create_table(&case.table(SESSIONS)?, &sessions).swap_remove(0).sql;
    case.sql(format!("{created} PARTITION BY RANGE (start_tstamp)")).await?;
    let name = dialect.table(&sessions);
    for day in 0..60 {
        let bounds = format!("TIMESTAMP '2025-01-01' + INTERVAL '{day} days'");
        let bound = |offset: i32| format!("(SELECT CAST({bounds} + INTERVAL '{offset} days' AS text))");
        let bounds = case.warehouse.query(&format!("SELECT {} AS low, {} AS high", bound(0), bound(1))).await;
        let bounds = bounds.map_err(|error| error.to_string())?;
        case.sql(format!(
            "CREATE TABLE \"{schema}\".day_{day} PARTITION OF {name} FOR VALUES FROM ('{}') TO ('{}')",
            bounds.get(0, "low"),
            bounds.get(0, "high")
        ))
        .await?;
    }
    case.sql(format!("CREATE TABLE \"{schema}\".other_days PARTITION OF {name} DEFAULT")).await?;
    for _ in 0..2 {
        stage_sample(&case, 300).await?;
        case.run().await?;
    }
    let rows = count(&case, &format!("SELECT COUNT(*) FROM {name}")).await?;
    let distinct = count(&case, &format!("SELECT COUNT(DISTINCT domain_sessionid) FROM {name}")).await?;
    ensure(rows > 20 && rows == distinct, || format!("{rows} rows of {distinct} sessions"))?;
    // The plan of the look-up: the lateral half never runs.
    let keys = TableName { schema: schema.clone(), name: "keys".to_owned() };
    case.sql(format!("CREATE TABLE {} AS SELECT domain_sessionid FROM {name}", dialect.table(&keys))).await?;
    let columns = "domain_sessionid,\n  start_tstamp";
    let select = dialect.rows_of_keys(columns, &sessions, None, "domain_sessionid", &keys, None);
    let plan = case.warehouse.query(&format!("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {select}")).await;
    let plan = plan.map_err(|error| error.to_string())?;
    let lines: Vec<String> = plan.rows.iter().filter_map(|row| row.first().map(ToString::to_string)).collect();
    let lateral = lines.iter().filter(|line| line.contains("Nested Loop")).all(|line| line.contains("never executed"));
    ensure(lateral, || lines.join("\n"))?;
    ensure(lines.iter().any(|line| line.contains("One-Time Filter")), || lines.join("\n"))?;
    case.drop().await
}

/// The input is taken by its file where nothing speaks against it, and row by row where something does: each time just what
/// main has read.
async fn an_input_that_may_not_be_truncated(cluster: &Cluster) -> Result<(), String> {
    let case = Case::new(&At(cluster.url()), json!({})).await?;
    let input = quoted(&case, PAGE_VIEWS_STAGED)?;
    let file = format!("SELECT pg_relation_filenode('{input}')::bigint");
    let staged = format!("SELECT COUNT(*) FROM {input}");
    stage_sample(&case, 100).await?;
    let deleted = format!("{}.deleted", case.variables.scratch_schema);
    let late = format!("INSERT INTO {input} (page_view_id, domain_sessionid) VALUES ('late', 'late')");
    let trigger = format!(
        "CREATE TABLE {deleted} (id TEXT);\nCREATE FUNCTION {deleted}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO {deleted} VALUES (OLD.page_view_id); RETURN OLD; END $f$;\nCREATE TRIGGER deleted AFTER DELETE ON {input} FOR EACH ROW EXECUTE FUNCTION {deleted}()"
    );
    for (what, truncates, left) in [("nothing", true, 0), ("a writer", false, 1), ("a trigger", false, 0)] {
        case.phase(Phase::Main).await?;
        let before = count(&case, &file).await?;
        match what {
            "a writer" => {
                // It writes all the while that complete runs.
                hold(&case, "late", &late).await?;
                let completed = tokio::time::timeout(PATIENCE, case.phase(Phase::Complete)).await;
                completed.map_err(|_| "complete waits for the writer")??;
                case.sql("COMMIT PREPARED 'late'").await?;
            }
            "a trigger" => {
                case.sql(trigger.clone()).await?;
                case.phase(Phase::Complete).await?;
                let seen = count(&case, &format!("SELECT COUNT(*) FROM {deleted}")).await?;
                ensure(seen == 101, || format!("the trigger saw {seen} rows"))?;
            }
            _ => {
                case.phase(Phase::Complete).await?;
            }
        }
        let after = count(&case, &file).await?;
        ensure((before != after) == truncates, || format!("{what}: the file was {before} and is {after}"))?;
        let rows = count(&case, &staged).await?;
        ensure(rows == left, || format!("{what}: {rows} rows are left"))?;
        stage_sample(&case, 100).await?;
    }
    case.drop().await
}

/// A role of a name and rights of its own.
async fn role(case: &Case, cluster: &Cluster, grants: &[String]) -> Result<(String, String), String> {
    let role = format!("role_{}", case.variables.scratch_schema.as_str());
    case.sql(format!("CREATE ROLE {role} LOGIN")).await?;
    for grant in grants {
        case.sql(format!("GRANT {grant} TO {role}")).await?;
    }
    let url = cluster.url_of(&role);
    Ok((role, url))
}

/// What `docs/permissions.md` says that main and complete need, where an owner has made the permanent tables.
fn least_grants(case: &Case) -> Result<Vec<String>, String> {
    let (scratch, output) = (&case.variables.scratch_schema, &case.variables.output_schema);
    let manifest = "sessions_userid_manifest_staged";
    Ok(vec![
        format!("USAGE, CREATE ON SCHEMA {scratch}"),
        format!("SELECT, INSERT, DELETE ON {}", quoted(case, PAGE_VIEWS_STAGED)?),
        format!("SELECT, INSERT, DELETE ON {}", quoted(case, manifest)?),
        format!("USAGE ON SCHEMA {output}"),
        format!("SELECT, INSERT, DELETE ON {}", quoted(case, SESSIONS)?),
        format!("INSERT ON \"{output}\".\"datamodel_metadata\""),
    ])
}

/// All phases with the least rights: no CREATE on the database, nothing owned but scratch tables. Then each right is taken
/// away in turn: one error, which names what is missing, and production as it was.
async fn a_role_with_the_least_rights(cluster: &Cluster) -> Result<(), String> {
    let owner = Case::new(&At(cluster.url()), json!({ "ends_run": true, "stage_next": true })).await?;
    stage_sample(&owner, 200).await?;
    owner.run().await?;
    let grants = least_grants(&owner)?;
    let (role, url) = role(&owner, cluster, &grants).await?;
    let case = owner.through(connect(&Postgres, &url).await?);
    stage_sample(&owner, 400).await?;
    case.run().await?;
    let rows = format!("SELECT COUNT(*) FROM {}", quoted(&owner, SESSIONS)?);
    let before = count(&owner, &rows).await?;
    ensure(before > 40, || format!("{before} sessions"))?;
    let looked_at = rights(&case, &OF_SESSIONS).await;
    ensure(looked_at.is_ok(), || format!("the look before a run refuses what a run does: {looked_at:?}"))?;
    for grant in &grants {
        stage_sample(&owner, 500).await?;
        owner.sql(format!("REVOKE {grant} FROM {role}")).await?;
        ensure(rights(&case, &OF_SESSIONS).await.is_err(), || format!("the look before a run misses {grant}"))?;
        let (kind, words) = refused(&case, &PHASES).await.map_err(|error| format!("without {grant}: {error}"))?;
        ensure(kind == WarehouseErrorKind::Permission, || format!("without {grant}: {kind:?}: {words}"))?;
        let subject = grant.rsplit(['.', ' ']).next().unwrap_or_default().replace('"', "");
        ensure(words.contains(&subject), || format!("without {grant}, it doesn't name {subject}: {words}"))?;
        let after = count(&owner, &rows).await?;
        ensure(after == before, || format!("without {grant}: {after} sessions after {before}"))?;
        owner.sql(format!("GRANT {grant} TO {role}")).await?;
    }
    case.run().await?;
    let after = count(&owner, &rows).await?;
    ensure(after > before, || format!("{after} sessions after {before}"))?;
    owner.drop().await
}

/// `migrate` with the least rights: whoever owns the tables that lack columns, or is a member of their owner's role, adds them;
/// without one of these rights it is refused, and again with it it adds what is lacking.
async fn a_role_that_migrates(cluster: &Cluster) -> Result<(), String> {
    let owner = Case::new(&At(cluster.url()), json!({ "ends_run": true, "stage_next": true })).await?;
    stage_sample(&owner, 200).await?;
    owner.run().await?;
    let (scratch, output) = (&owner.variables.scratch_schema, &owner.variables.output_schema);
    let keeper = format!("keeper_of_{scratch}");
    owner.sql(format!("CREATE ROLE {keeper}")).await?;
    let lacked = [(PAGE_VIEWS_STAGED, "page_title"), (SESSIONS, "geo_latitude"), (SESSIONS, "app_id")];
    for table in [PAGE_VIEWS_STAGED, SESSIONS] {
        owner.sql(format!("ALTER TABLE {} OWNER TO {keeper}", quoted(&owner, table)?)).await?;
    }
    let lack = async || {
        for (table, column) in lacked {
            owner.sql(format!("ALTER TABLE {} DROP COLUMN IF EXISTS {column}", quoted(&owner, table)?)).await?;
        }
        Ok::<_, String>(())
    };
    lack().await?;
    let usages = [format!("USAGE, CREATE ON SCHEMA {scratch}"), format!("USAGE ON SCHEMA {output}")];
    let (role, url) = role(&owner, cluster, &[&least_grants(&owner)?[..], &usages].concat()).await?;
    let case = owner.through(connect(&Postgres, &url).await?);
    let modules = [case.module];
    let drift = async || {
        let drift = preflight::drift(&*owner.warehouse, &modules, &owner.variables).await;
        drift.map(|(drift, _)| drift).map_err(|error| error.to_string())
    };
    let migrate = async || {
        let plan = drift().await?.migration;
        let job = Job::migration(plan, &case.variables);
        Ok::<_, String>(case.runner().run_jobs(&[job]).await.map_err(|error| error.error))
    };
    // Every right of a run is none to alter a table.
    let refused = migrate().await?.err().ok_or("a role that owns nothing has migrated")?;
    let words = format!("{}\n{}", chain(&refused), refused.hint().unwrap_or_default());
    let tells = ["must be owner of table page_views_staged", "make this role a member of it"];
    ensure(tells.iter().all(|word| words.contains(word)), || words)?;
    ensure(drift().await?.problems.len() == lacked.len(), || "it has changed a table".to_owned())?;
    // Neither are its other rights on the tables needed.
    owner.sql(format!("GRANT {keeper} TO {role}")).await?;
    for grant in &least_grants(&owner)? {
        owner.sql(format!("REVOKE {grant} FROM {role}")).await?;
    }
    for usage in &usages {
        owner.sql(format!("GRANT {usage} TO {role}")).await?;
    }
    migrate().await?.map_err(|error| chain(&error))?;
    ensure(drift().await?.problems.is_empty(), || "columns are lacking still".to_owned())?;
    for usage in &usages {
        lack().await?;
        owner.sql(format!("REVOKE {usage} FROM {role}")).await?;
        let refused = migrate().await?.err().ok_or_else(|| format!("without {usage} it has migrated"))?;
        let schema = usage.rsplit(' ').next().unwrap_or_default();
        let words = chain(&refused);
        ensure(words.contains(&format!("permission denied for schema {schema}")), || format!("{usage}: {words}"))?;
        owner.sql(format!("GRANT {usage} TO {role}")).await?;
        migrate().await?.map_err(|error| chain(&error))?;
        ensure(drift().await?.problems.is_empty(), || format!("columns are lacking with {usage} again"))?;
    }
    owner.drop().await
}

/// Sessions and users with the least rights of both; then users without each right on a table in turn.
async fn a_role_with_the_least_rights_for_users(cluster: &Cluster) -> Result<(), String> {
    let owner = Case::new(&At(cluster.url()), json!({ "stage_next": true })).await?;
    let of_users = owner.with(json!({ "ends_run": true }))?.of(users::module());
    stage_sample(&owner, 200).await?;
    owner.run().await?;
    of_users.run().await?;
    let mut grants = least_grants(&owner)?;
    for table in [USERS, USERS_MANIFEST] {
        grants.push(format!("SELECT, INSERT, DELETE ON {}", quoted(&of_users, table)?));
    }
    let (role, url) = role(&owner, cluster, &grants).await?;
    let connected = connect(&Postgres, &url).await?;
    let (case, users) = (owner.through(Arc::clone(&connected)), of_users.through(connected));
    let rows = format!("SELECT COUNT(*) FROM {}", quoted(&of_users, USERS)?);
    stage_sample(&owner, 400).await?;
    case.run().await?;
    users.run().await?;
    let before = count(&owner, &rows).await?;
    ensure(before > 20, || format!("{before} users"))?;
    let tables = [&OF_SESSIONS[..], &[USERS, USERS_MANIFEST]].concat();
    let looked_at = rights(&users, &tables).await;
    ensure(looked_at.is_ok(), || format!("the look before a run refuses what a run does: {looked_at:?}"))?;
    let input = quoted(&owner, PAGE_VIEWS_STAGED)?;
    for grant in grants.iter().filter(|grant| !grant.contains(" SCHEMA ") && !grant.ends_with(&input)) {
        stage_sample(&owner, 500).await?;
        case.run().await?;
        owner.sql(format!("REVOKE {grant} FROM {role}")).await?;
        ensure(rights(&users, &tables).await.is_err(), || format!("the look before a run misses {grant}"))?;
        let (kind, words) = refused(&users, &PHASES).await.map_err(|error| format!("without {grant}: {error}"))?;
        ensure(kind == WarehouseErrorKind::Permission, || format!("without {grant}: {kind:?}: {words}"))?;
        let subject = grant.rsplit(['.', ' ']).next().unwrap_or_default().replace('"', "");
        ensure(words.contains(&subject), || format!("without {grant}, it doesn't name {subject}: {words}"))?;
        let after = count(&owner, &rows).await?;
        ensure(after == before, || format!("without {grant}: {after} users after {before}"))?;
        owner.sql(format!("GRANT {grant} TO {role}")).await?;
    }
    users.run().await?;
    let after = count(&owner, &rows).await?;
    ensure(after > before, || format!("{after} users after {before}"))?;
    owner.drop().await
}

/// The tables that sessions finds there.
const OF_SESSIONS: [&str; 4] = [PAGE_VIEWS_STAGED, SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, DATAMODEL_METADATA];

/// What doctor asks of the tables that are there, of sessions and the module of a case.
async fn rights(case: &Case, tables: &[&str]) -> Result<(), String> {
    let (modules, variables) = ([sessions::module(), case.module], &case.variables);
    let changes = preflight::changes(&modules, variables, &case.warehouse.dialect());
    let all = model::tables(&modules, variables);
    for name in tables {
        let table = all.iter().find(|table| table.name == *name).ok_or_else(|| format!("no table {name}"))?;
        preflight::check_rights(&*case.warehouse, &modules, &changes, variables, table)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// An end that never comes, as Postgres writes an open one, has no seconds: NULL, as on the embedded engine.
async fn a_time_without_an_end_has_no_seconds(cluster: &Cluster) -> Result<(), String> {
    let case = Case::new(&At(cluster.url()), json!({})).await?;
    stage_sample(&case, 100).await?;
    let input = quoted(&case, PAGE_VIEWS_STAGED)?;
    let one = count(&case, &format!("SELECT MIN(domain_sessionidx) FROM {input}")).await?;
    case.sql(format!("UPDATE {input} SET end_tstamp = 'infinity' WHERE domain_sessionidx = {one}")).await?;
    case.run().await?;
    let sessions = quoted(&case, SESSIONS)?;
    let odd = format!("SELECT COUNT(*) FROM {sessions} WHERE end_tstamp = 'infinity' AND absolute_time_in_s IS NULL");
    ensure(count(&case, &odd).await? > 0, || "no session without an end".to_owned())?;
    let rest = format!("SELECT COUNT(*) FROM {sessions} WHERE isfinite(end_tstamp) AND absolute_time_in_s IS NULL");
    ensure(count(&case, &rest).await? == 0, || "a session with an end has no seconds".to_owned())?;
    case.drop().await
}

/// 'Derived' means derived, as an unquoted name does.
async fn names_in_capitals_are_the_unquoted_names(cluster: &Cluster) -> Result<(), String> {
    let case = Case::new(&At(cluster.url()), json!({ "entropy": "_Capitals" })).await?;
    let upper = json!({
        "output_schema": case.variables.output_schema.as_str().to_uppercase(),
        "scratch_schema": case.variables.scratch_schema.as_str().to_uppercase(),
    });
    let case = case.with(upper)?;
    stage_sample(&case, 200).await?;
    case.run().await?;
    stage_sample(&case, 200).await?;
    case.run().await?;
    // As custom SQL names it.
    let rows =
        count(&case, &format!("SELECT COUNT(*) FROM {}.sessions_capitals", case.variables.output_schema)).await?;
    ensure(rows > 20, || format!("{rows} sessions"))?;
    let quoted = "SELECT COUNT(*) FROM pg_namespace WHERE nspname <> lower(nspname)";
    ensure(count(&case, quoted).await? == 0, || "a schema with capitals was made".to_owned())?;
    case.drop().await
}

async fn a_server_that_only_reads(cluster: &Cluster) -> Result<(), String> {
    let owner = Case::new(&At(cluster.url()), json!({})).await?;
    stage_sample(&owner, 50).await?;
    let (role, url) = role(&owner, cluster, &["pg_write_all_data".to_owned(), "pg_read_all_data".to_owned()]).await?;
    owner.sql(format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await?;
    let (kind, words) = refused(&owner.through(connect(&Postgres, &url).await?), &PHASES).await?;
    ensure(kind == WarehouseErrorKind::Permission && words.contains("primary"), || format!("{kind:?}: {words}"))?;
    owner.drop().await
}

async fn an_input_that_is_a_view(cluster: &Cluster) -> Result<(), String> {
    let case = Case::new(&At(cluster.url()), json!({})).await?;
    stage_sample(&case, 50).await?;
    let input = quoted(&case, PAGE_VIEWS_STAGED)?;
    case.sql(format!("ALTER TABLE {input} RENAME TO page_views_elsewhere")).await?;
    let elsewhere = format!("\"{}\".page_views_elsewhere", case.variables.scratch_schema);
    case.sql(format!("CREATE VIEW {input} AS SELECT * FROM {elsewhere}")).await?;
    let (_, words) = refused(&case, &PHASES).await?;
    ensure(words.contains("make it a table"), || words)?;
    let (modules, table) = ([case.module], case.table(PAGE_VIEWS_STAGED)?);
    let changes = preflight::changes(&modules, &case.variables, &case.warehouse.dialect());
    let error = preflight::check_rights(&*case.warehouse, &modules, &changes, &case.variables, &table).await;
    let hint = error.err().and_then(|error| error.hint).unwrap_or_default();
    ensure(hint.contains("make it a table"), || format!("the look before a run says {hint:?}"))?;
    case.drop().await
}

/// ('a=b', NULL) and ('a', 'b') are two rows.
async fn redshift_s_fingerprint_is_of_one_row_alone(cluster: &Cluster) -> Result<(), String> {
    let redshift = connect(&Redshift, &cluster.url()).await?;
    for function in FUNCTIONS {
        redshift.execute(&Statement::new("function", *function)).await.map_err(|error| error.to_string())?;
    }
    let columns = ["a", "b", "c"].map(|name| Column::new(name, ColumnType::Text));
    let columns = [&columns[..], &[Column::new("n", ColumnType::Integer), Column::new("t", ColumnType::Text)]].concat();
    let long = ["l", "m"].map(|name| Column::new(name, ColumnType::LongText));
    let columns = [columns, long.to_vec()].concat();
    let fingerprint = redshift.dialect().row_fingerprint(&columns);
    let rows = [
        "('a=b', NULL, NULL, 1, NULL, NULL, NULL)",
        "('a', 'b', NULL, 1, NULL, NULL, NULL)",
        "('a', NULL, 'b', 1, NULL, NULL, NULL)",
        "(NULL, 'a', 'b', 1, NULL, NULL, NULL)",
        "('a', '1=b', NULL, 1, NULL, NULL, NULL)",
        "('a1=b', NULL, NULL, 1, NULL, NULL, NULL)",
        "('', NULL, NULL, 1, NULL, NULL, NULL)",
        "(NULL, '', NULL, 1, NULL, NULL, NULL)",
        "(NULL, NULL, NULL, 1, NULL, NULL, NULL)",
        "(NULL, NULL, NULL, NULL, '1', NULL, NULL)",
        "(NULL, NULL, NULL, 11, '', NULL, NULL)",
        "(NULL, NULL, '1', 1, '', NULL, NULL)",
        "(NULL, NULL, NULL, 1, NULL, '', NULL)",
        "(NULL, NULL, NULL, 1, NULL, NULL, '')",
        "(NULL, NULL, NULL, 1, NULL, '', '')",
        "(NULL, NULL, NULL, 1, NULL, '=', NULL)",
        "(NULL, NULL, NULL, 1, NULL, 'ab', 'c')",
        "(NULL, NULL, NULL, 1, NULL, 'a', 'bc')",
        "(NULL, NULL, NULL, 1, 'a', 'bc', NULL)",
        "(NULL, NULL, NULL, 1, NULL, REPEAT('x', 65535), REPEAT('y', 65535))",
        "(NULL, NULL, NULL, 1, NULL, REPEAT('x', 65535), REPEAT('z', 65535))",
    ];
    let sql = format!(
        "SELECT COUNT(*) AS row_count, COUNT(DISTINCT {fingerprint}) AS fingerprints FROM (VALUES {}) AS r (a, b, c, n, t, l, m)",
        rows.join(", ")
    );
    let found = redshift.query(&sql).await.map_err(|error| format!("{error}: {sql}"))?;
    let (all, distinct) = (found.get(0, "row_count").as_integer(), found.get(0, "fingerprints").as_integer());
    ensure(all == distinct, || format!("{distinct} fingerprints of {all} rows"))
}

/// What a transaction has, and what the connection has when it is over: a table made anew, a block, a block with a target's limits.
async fn transactions_have_memory_and_no_jit(cluster: &Cluster) -> Result<(), String> {
    const NAMES: [&str; 3] = ["work_mem", "jit", "join_collapse_limit"];
    let select = "SELECT name, setting FROM pg_settings WHERE name IN ('work_mem', 'jit', 'join_collapse_limit')";
    let url = format!("{}?options=-c%20work_mem%3D4MB", cluster.url());
    let large = url.replace("4MB", "128MB");
    for (given, session, expected) in [
        (vec![("url", url.as_str())], "4096", "65536"),
        (vec![("url", &url), ("statement_timeout", "1h")], "4096", "65536"),
        (vec![("url", &url), ("work_mem", "8MB")], "4096", "8192"),
        (vec![("url", &large)], "131072", "131072"),
    ] {
        let settings = Settings::new(&Postgres, given).map_err(|error| error.to_string())?;
        let warehouse = Postgres.connect(&settings).await.map_err(|error| chain(&error))?;
        let found = async |what: &str, table: &str, expected: [&str; 3]| {
            let rows = warehouse.query(table).await.map_err(|error| error.to_string())?;
            for (name, value) in NAMES.iter().zip(expected) {
                let row =
                    rows.rows.iter().find(|row| row[0] == Value::Text((*name).to_owned())).ok_or("no such setting")?;
                ensure(row[1] == Value::Text(value.to_owned()), || {
                    format!("{what}: {name} is {:?}, not {value}", row[1])
                })?;
            }
            Ok::<_, String>(())
        };
        let sql = format!("DROP TABLE IF EXISTS settings_then;\nCREATE UNLOGGED TABLE settings_then AS\n{select}");
        let made = warehouse.execute(&Statement::new("settings", sql)).await.map_err(|error| error.to_string())?;
        ensure(made.rows_affected == Some(3), || format!("{:?} rows", made.rows_affected))?;
        found("a table made anew", "SELECT * FROM settings_then", [expected, "off", "1"]).await?;
        let block = ["DELETE FROM settings_then".to_owned(), format!("INSERT INTO settings_then {select}")];
        let block = block.map(|sql| Statement::new("settings", sql));
        warehouse.execute_block(&block).await.map_err(|error| error.to_string())?;
        found("a block", "SELECT * FROM settings_then", [expected, "off", "1"]).await?;
        found("afterwards", select, [session, "on", "8"]).await?;
    }
    Ok(())
}

type Outcome<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

fn main() {
    let arguments = Arguments::from_args();
    let cluster = Arc::new(Cluster::start("").expect("a server"));
    let trial = |name: &str, prove: fn(&Cluster) -> Outcome<'_>| {
        let cluster = Arc::clone(&cluster);
        Trial::test(format!("postgres::installations::{name}"), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(prove(&cluster)).map_err(Failed::from)
        })
    };
    let trials = vec![
        trial("behind_a_pooler_of_transactions", |cluster| Box::pin(behind_a_pooler_of_transactions(cluster))),
        trial("production_partitioned_by_day", |cluster| Box::pin(production_partitioned_by_day(cluster))),
        trial("an_input_that_may_not_be_truncated", |cluster| Box::pin(an_input_that_may_not_be_truncated(cluster))),
        trial("a_role_with_the_least_rights", |cluster| Box::pin(a_role_with_the_least_rights(cluster))),
        trial("a_role_with_the_least_rights_for_users", |cluster| {
            Box::pin(a_role_with_the_least_rights_for_users(cluster))
        }),
        trial("a_role_that_migrates", |cluster| Box::pin(a_role_that_migrates(cluster))),
        trial("names_in_capitals_are_the_unquoted_names", |cluster| {
            Box::pin(names_in_capitals_are_the_unquoted_names(cluster))
        }),
        trial("a_time_without_an_end_has_no_seconds", |cluster| {
            Box::pin(a_time_without_an_end_has_no_seconds(cluster))
        }),
        trial("a_server_that_only_reads", |cluster| Box::pin(a_server_that_only_reads(cluster))),
        trial("an_input_that_is_a_view", |cluster| Box::pin(an_input_that_is_a_view(cluster))),
        trial("transactions_have_memory_and_no_jit", |cluster| Box::pin(transactions_have_memory_and_no_jit(cluster))),
        trial("redshift_s_fingerprint_is_of_one_row_alone", |cluster| {
            Box::pin(redshift_s_fingerprint_is_of_one_row_alone(cluster))
        }),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Dropping the server stops it.
    drop(cluster);
    conclusion.exit();
}
