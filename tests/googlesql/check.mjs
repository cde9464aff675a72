// Analyzes BigQuery's statements: negative controls, the plans, and what the binary sent in a test. Prints what is
// refused and the counts as JSON; exits with 1 if a statement is refused, or if a control is not.
//
//   node check.mjs TABLES PLANS [SENT]
//
// TABLES: a script that creates what is there before the first run. PLANS: the folder of their SQL. SENT: what was
// sent, a JSON object a line: sql, and whether it was a dry run, or asked for a table that was not there (misses).
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Analyzer, Project } from './analyzer.mjs';
import { ACCEPTED, BEFORE, REFUSED } from './controls.mjs';

const [tables, plans, sent] = process.argv.slice(2);
const analyzer = await Analyzer.start();
const counts = { plans: 0, sent: 0, controls: 0 };
const faults = [];

const controls = new Project(analyzer);
faults.push(...(await controls.run(BEFORE)).refused);
for (const sql of ACCEPTED) {
  const { refused } = await controls.copy().run(sql);
  if (refused.length) faults.push(`a control that is right was refused: ${sql}: ${refused}`);
}
for (const [reason, sql] of Object.entries(REFUSED)) {
  counts.controls += 1;
  const { refused } = await controls.copy().run(sql);
  if (!refused.length) faults.push(`a control was not refused: ${reason}: ${sql}`);
}

const before = new Project(analyzer);
faults.push(...(await before.run(readFileSync(tables, 'utf8'))).refused.map((words) => `the tables before: ${words}`));

// A phase is analyzed after main, on the tables that main leaves: so is each file that holds what an option changes.
const files = readdirSync(plans).filter((name) => name.endsWith('.sql'));
const analyze = async (project, name) => {
  const { count, refused } = await project.run(readFileSync(join(plans, name), 'utf8'));
  counts.plans += count;
  faults.push(...refused.map((words) => `${name}: ${words}`));
};
const after = before.copy();
await analyze(after, 'main.sql');
for (const name of files) if (basename(name) !== 'main.sql') await analyze(after.copy(), name);

const project = before.copy();
for (const line of sent ? readFileSync(sent, 'utf8').split('\n').filter(Boolean) : []) {
  const { sql, dry, misses } = JSON.parse(line);
  let { count, refused } = await (dry ? project.copy() : project).run(sql);
  counts.sent += count;
  // An estimate may ask for tables that an earlier step has not made yet: it then says 'unknown'. So may a look at the lock.
  if (dry || misses) refused = refused.filter((words) => !/^(Table not found|there is no (table|dataset))/.test(words));
  faults.push(...refused.map((words) => `sent${dry ? ' as a dry run' : ''}: ${words}: ${sql}`));
}

analyzer.stop();
for (const fault of faults) console.error(fault);
console.log(JSON.stringify({ ...counts, faults: faults.length }));
process.exit(faults.length || !counts.plans || (sent && !counts.sent) ? 1 : 0);
