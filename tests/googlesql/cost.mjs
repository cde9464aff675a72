// What a run on BigQuery reads and costs on demand, by statement, as the tables of docs/cost.md: from the columns that
// Google's analyzer says each statement reads, and their sizes in the sample.
// <https://cloud.google.com/bigquery/docs/estimate-costs#query_size_calculation>
//
//   node cost.mjs TABLES PLANS SAMPLE PRODUCTION
//
// TABLES: a script that creates what is there before the first run. PLANS: a folder with main.sql and complete.sql, of the
// page views and users modules too.
// PRODUCTION: how large the sessions table is, in GB. The last line is JSON: all gigabytes, those of users, how often complete
// reads its input, the columns of sessions that users reads, and the columns of tables of a run that no statement reads.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Analyzer, Project, field } from './analyzer.mjs';

const [tables, plans, sample, production] = process.argv.slice(2);
const GB = 1e9;
const STAGED = 10 * GB; // one day's page views
const PRODUCTION = Number(production) * GB;
const US_DOLLARS_PER_TIB = 6.25; // <https://cloud.google.com/bigquery/pricing>, on demand, in the US
const TOUCHED_DAYS = 1; // of production: a session that production has already began the day before
const LATE = 0.02; // of the sessions of this run: how many production has already
const ARRIVED = 0.01; // of what main read: the part whose sessions got page views before complete
const LOOKUP_DAYS = 33; // of production: as the dialect has it

/** The rows of a CSV file without line breaks inside of fields. */
function* lines(text) {
  for (const line of text.split('\n').filter(Boolean)) {
    yield [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, cell]) => cell.replace(/^"|"$/g, '').replaceAll('""', '"'));
  }
}

// What a value takes: a text its bytes and two more, NULL nothing, all else that the model has eight bytes or one.
// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes>
const [names, ...rows] = lines(gunzipSync(readFileSync(sample)).toString());
const average = new Map(names.map((name, column) => {
  const total = rows.reduce((sum, row) => sum + (row[column] ? Buffer.byteLength(row[column]) + 2 : 0), 0);
  return [name, { text: total / rows.length, present: rows.filter((row) => row[column]).length / rows.length }];
}));
const RENAMED = { referrer: 'page_referrer' };
function size({ name, type }) {
  const known = average.get(name) ?? average.get(name.replace(/^(first|last)_page_/, 'page_')) ?? average.get(RENAMED[name]);
  const { text, present } = known ?? { text: 24, present: 1 };
  switch (type.type_kind) {
    case 'TYPE_STRING': return text;
    case 'TYPE_BOOL': return present;
    default: return 8 * present;
  }
}

const width = (columns) => columns.reduce((sum, column) => sum + size(column), 0);
const analyzer = await Analyzer.start();
const project = new Project(analyzer);
const faults = [...(await project.run(readFileSync(tables, 'utf8'))).refused];
const distinct = (name) => new Set(rows.map((row) => row[names.indexOf(name)])).size;
const sessions_per_view = distinct('domain_sessionid') / rows.length;
const users_per_session = distinct('domain_userid') / distinct('domain_sessionid');

/** How many rows a table has, by what it holds. */
function rowsOf(table, columns) {
  const views = STAGED / width(project.datasets.get('scratch').get('page_views_staged').column);
  const sessions = views * sessions_per_view;
  switch (true) {
    case /^page_views_(upsert_keys|stored|repeated)$/.test(table): return views * LATE;
    case /^page_views_(staged|arrived|new|forms|numbers)$|input_kept$/.test(table): return views;
    case table === 'page_views': return views * production_days();
    case table === 'sessions': return PRODUCTION / width(columns);
    // As many users as days have, as if each came on one day: no table has more.
    case /^users(_manifest)?$/.test(table): return a_day * production_days() * users_per_session;
    case /upsert_keys/.test(table): return sessions * LATE;
    case /metadata|limit|run_id|lock/.test(table): return 1;
    case /input_this_run/.test(table): return views;
    case /userid|^users_this_run$/.test(table): return sessions * users_per_session;
    default: return sessions;
  }
}

/** Every table that a resolved statement scans, with the columns that it reads. */
function* scans(message) {
  if (Array.isArray(message)) for (const one of message) yield* scans(one);
  else if (message && typeof message === 'object') {
    if (message.table?.name && message.parent) {
      yield { table: message.table.name, columns: (message.parent.column_list ?? []).map((column) => column.name) };
    }
    for (const [name, one] of Object.entries(message)) if (name !== 'table') yield* scans(one);
  }
}

const input = project.datasets.get('scratch').get('page_views_staged').column;
const a_day = (STAGED / width(input)) * sessions_per_view; // sessions
/** Of how many days production has sessions, and page views. */
const production_days = () => PRODUCTION / (a_day * width(project.datasets.get('derived').get('sessions').column));
/** How many rows a statement writes to a table, at most. */
function written(table) {
  const columns = project.datasets.get('scratch').get('page_views_staged').column;
  const views = STAGED / width(columns);
  if (table === 'page_views') return views;
  if (table === 'sessions') return views * sessions_per_view;
  if (/^users(_manifest)?$/.test(table)) return views * sessions_per_view * users_per_session;
  return rowsOf(table, columns) * (removed && /staged$|kept$/.test(table) ? ARRIVED : 1);
}
const made = new Map(); // the columns of each table that is made of rows
const used = new Set(); // what any statement reads
// What each view reads, of which a statement reads the columns that it names, and those that the view has not itself: it joins by them.
const views = new Map();
/** What a statement scans, with what its views scan in their places. */
function* below(message) {
  for (const { table, columns } of scans(message)) {
    const named = new Set(columns);
    const { reads, has } = views.get(table) ?? { reads: [{ table, columns }], has: named };
    for (const scan of reads) {
      yield { table: scan.table, columns: scan.columns.filter((column) => named.has(column) || !has.has(column)) };
    }
  }
}
const of_sessions = new Set(); // the columns of sessions that users reads
let steps = new Map();
let step = '';
let removed = false; // Whether complete has removed what it could without looking at single rows.
let input_read = 0;
project.seen = (kind, node, before) => {
  step = [...before.matchAll(/^-- step (\w+)/gm)].at(-1)?.[1] ?? step;
  // A column that a statement names is read once, however often it names it; a change of rows is billed with all columns
  // of the partitions in which it changes any, as they are when it starts.
  // <https://cloud.google.com/bigquery/docs/estimate-costs#query_size_calculation>
  // <https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#on-demand_query_size_calculation>
  const read = new Map();
  const target = /insert/.test(kind) ? { table_scan: undefined } : {};
  if (/create_view/.test(kind)) {
    const has = new Set(field(node, 'output_column_list').map(({ name }) => name));
    views.set(field(node, 'name_path')[1], { reads: [...scans(node)], has });
    return;
  }
  for (const { table, columns } of below({ ...node, ...target })) {
    read.set(table, new Set([...(read.get(table) ?? []), ...columns]));
  }
  const into = /insert/.test(kind) ? node.table_scan.table.name : undefined;
  const changed = /delete|update/.test(kind) ? node.table_scan.table.name : undefined;
  let bytes = 0;
  for (const [table, names] of read) {
    const columns = [...project.datasets.values()].map((tables) => tables.get(table)).find(Boolean)?.column ?? [];
    const bare = width(columns.filter(({ name }) => names.has(name)));
    let part = 1;
    if (/^sessions$|^page_views$/.test(table)) {
      part = Math.min(1, (changed || /^page_views_(stored|changed)$/.test(into) ? TOUCHED_DAYS : LOOKUP_DAYS) / production_days());
    }
    if (table === 'sessions' && /^users_/.test(current)) {
      // Whose sessions they are is in no order: all of production is read. Every user is asked for by the first run alone.
      part = step === 'user_ids' ? 0 : 1;
      if (part) for (const name of names) of_sessions.add(name);
    }
    if (/^page_views_staged$|input_kept$/.test(table) && removed) part = ARRIVED;
    if (table === 'page_views_staged' && /^page_views_/.test(current)) part = 0; // the last run has consumed it
    const all = rowsOf(table, columns) * part * (bare + (table === changed ? width(columns) : 0));
    if (table === 'page_views_staged' && current === 'complete') input_read += all;
    bytes += all;
  }
  let writes = 0;
  if (into) writes = written(into) * width(node.insert_column_list.map(({ name, type }) => ({ name, type })));
  if (/create_table_as_select/.test(kind)) {
    const [, table] = field(node, 'name_path');
    const columns = field(node, 'column_definition_list');
    writes = written(table) * width(columns);
    made.set(table, columns.map(({ name }) => name));
  }
  removed ||= changed === 'page_views_staged';
  const phase = steps.get(`${current}/${step}`) ?? { bytes: 0, writes: 0, statements: 0, columns: new Set() };
  for (const [table, names] of read) for (const name of names) for (const into of [phase.columns, used]) into.add(`${table}.${name}`);
  steps.set(`${current}/${step}`, { ...phase, bytes: phase.bytes + bytes, writes: phase.writes + writes, statements: phase.statements + 1 });
};
let current;
/** What the steps of some plans read. */
async function bill(phases) {
  [steps, removed] = [new Map(), false];
  for (current of phases) {
    step = '';
    faults.push(...(await project.run(readFileSync(join(plans, `${current}.sql`), 'utf8'))).refused);
  }
  return steps;
}
const sessions = await bill(['main', 'complete']);
const page_views = await bill(['page_views_main', 'page_views_complete']);
const users = await bill(['users_main', 'users_complete']);
const unread = [...made].flatMap(([table, columns]) => columns.map((column) => `${table}.${column}`)).filter((name) => !used.has(name));
analyzer.stop();
if (faults.length) {
  console.error(faults.join('\n'));
  process.exit(1);
}
const dollars = (bytes) => ((bytes / 2 ** 40) * US_DOLLARS_PER_TIB).toFixed(2);
console.log('| step | statements | reads, columns | reads, GB | writes, GB | US$ |\n|---|---|---|---|---|---|');
function print(steps, all) {
  let [total, writes_of_all] = [0, 0];
  for (const [name, { bytes, writes, statements, columns }] of steps) {
    total += bytes;
    writes_of_all += writes;
    console.log(`| ${name} | ${statements} | ${columns.size} | ${(bytes / GB).toFixed(1)} | ${(writes / GB).toFixed(1)} | ${dollars(bytes)} |`);
  }
  console.log(`| ${all} | | | ${(total / GB).toFixed(1)} | ${(writes_of_all / GB).toFixed(1)} | ${dollars(total)} |`);
  return total / GB;
}
const all = print(sessions, 'all');
print(page_views, 'all of page_views');
const all_of_users = print(users, 'all of users');
console.log(JSON.stringify({
  all, users: all_of_users, input_reads_of_complete: input_read / STAGED, of_sessions: [...of_sessions], unread,
}));
