// Google's analyzer of GoogleSQL, as a server on the loopback interface, and a BigQuery project as the analyzer sees it.
// The npm packages lie in the folder that WEBSESSIONS_TEST_GOOGLESQL names: tests/run installs them.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';

const installed = process.env.WEBSESSIONS_TEST_GOOGLESQL;
if (!installed) throw new Error('WEBSESSIONS_TEST_GOOGLESQL is not set: ./tests/run installs the analyzer and sets it');
const require = createRequire(join(installed, 'package.json'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const LIBRARY = join(dirname(require.resolve('@fivetrandevelopers/zetasql/package.json')), 'lib/zetasql');

// The analyzer knows more than BigQuery has: nanoseconds, protocol buffers, modules, THEN RETURN and some functions. Of
// intervals it must be told. <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types>
const NOT_IN_BIGQUERY = [
  'NANOS', 'PROTO', 'MODULES', 'SLASH_PATHS', 'FILTER_FIELDS', 'REPLACE_FIELDS', 'GROUP_ROWS', 'FIRST_AND_LAST_N',
  'ARRAY_FIND', 'ARRAY_AGGREGATION', 'PI_FUNCTIONS', 'ZEROIFNULL', 'DML_RETURNING',
];
const typed = (kind) => ({ type_kind: `TYPE_${kind}` });

// The views that a dataset qualifies, as far as anything reads them. SCHEMATA, for one, takes a region instead.
// <https://cloud.google.com/bigquery/docs/information-schema-intro#dataset_qualifier>
const VIEWS = {
  COLUMNS: {
    table_catalog: 'STRING', table_schema: 'STRING', table_name: 'STRING', column_name: 'STRING',
    ordinal_position: 'INT64', is_nullable: 'STRING', data_type: 'STRING', is_partitioning_column: 'STRING',
    clustering_ordinal_position: 'INT64',
  },
  TABLES: {
    table_catalog: 'STRING', table_schema: 'STRING', table_name: 'STRING', table_type: 'STRING',
    is_insertable_into: 'STRING', creation_time: 'TIMESTAMP', ddl: 'STRING',
  },
  PARTITIONS: {
    table_catalog: 'STRING', table_schema: 'STRING', table_name: 'STRING', partition_id: 'STRING', total_rows: 'INT64',
    total_logical_bytes: 'INT64', last_modified_time: 'TIMESTAMP',
  },
};
const INFORMATION_SCHEMA = {
  name: 'INFORMATION_SCHEMA',
  table: Object.entries(VIEWS).map(([name, columns]) => ({
    name,
    column: Object.entries(columns).map(([name, kind]) => ({ name, type: typed(kind) })),
  })),
};

// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#table_option_list>
const OPTIONS = {
  expiration_timestamp: 'TIMESTAMP', partition_expiration_days: 'FLOAT64', require_partition_filter: 'BOOL',
  description: 'STRING', location: 'STRING', default_table_expiration_days: 'FLOAT64',
};

// Those that statements read. <https://cloud.google.com/bigquery/docs/reference/system-variables>
const SYSTEM_VARIABLES = [{ name_path: ['row_count'], type: typed('INT64') }];

// <https://cloud.google.com/bigquery/docs/clustered-tables#cluster_column_types>
const CLUSTERED = ['BOOL', 'DATE', 'DATETIME', 'INT64', 'NUMERIC', 'BIGNUMERIC', 'STRING', 'TIMESTAMP'].map((kind) => `TYPE_${kind}`);

// What may stand in PARTITION BY, and of which type its column must be.
// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#partition_expression>
const PARTITIONED = {
  column: ['DATE'], date: ['TIMESTAMP', 'DATETIME'], date_trunc: ['DATE'], timestamp_trunc: ['TIMESTAMP'],
  datetime_trunc: ['DATETIME'], range_bucket: ['INT64'],
};

/** A port of a server that is about to start, as tests/servers/src/port.rs reserves them: below those that systems give to whoever
 * asks for any, and held against other tests by the UDP port of the same number. */
function reserved() {
  const port = 12_000 + Math.floor(Math.random() * 20_000);
  return new Promise((found) => {
    const held = createSocket('udp4').unref();
    held.once('error', () => found(reserved()));
    held.bind(port, '127.0.0.1', () => {
      const probe = createServer();
      probe.once('error', () => held.close(() => found(reserved())));
      probe.listen(port, '127.0.0.1', () => probe.close(() => found(port)));
    });
  });
}

/** The analyzer's process. */
export class Analyzer {
  static async start() {
    const port = await reserved();
    const analyzer = new Analyzer();
    const system = process.platform === 'darwin' ? '' : '.so';
    const machine = process.arch === 'arm64' ? '_arm' : '';
    analyzer.process = spawn(join(LIBRARY, `remote_server${machine}${system}`), ['127.0.0.1', `${port}`], { stdio: 'ignore' });
    const ended = new Promise((_, fail) => {
      analyzer.process.once('error', fail);
      analyzer.process.once('exit', (code) => fail(new Error(`the analyzer ended with code ${code}`)));
    });
    ended.catch(() => {});
    process.once('exit', () => analyzer.process.kill('SIGKILL'));
    const services = grpc.loadPackageDefinition(loader.loadSync('local_service.proto', {
      includeDirs: [join(LIBRARY, 'protos')], keepCase: true, enums: String, longs: String, oneofs: true,
    }));
    analyzer.client = new services.zetasql.local_service.ZetaSqlLocalService(
      `127.0.0.1:${port}`,
      grpc.credentials.createInsecure(),
      { 'grpc.max_receive_message_length': -1, 'grpc.initial_reconnect_backoff_ms': 20, 'grpc.max_reconnect_backoff_ms': 100 },
    );
    const ready = new Promise((done, fail) => {
      analyzer.client.waitForReady(Date.now() + 300_000, (error) => (error ? fail(error) : done()));
    });
    await Promise.race([ready, ended]);
    const { enabled_language_features: all } = await analyzer.call('GetLanguageOptions', { maximum_features: true });
    analyzer.language = {
      product_mode: 'PRODUCT_EXTERNAL',
      enabled_language_features: [
        ...all.filter((feature) => !NOT_IN_BIGQUERY.some((words) => feature.includes(words))),
        'FEATURE_INTERVAL_TYPE',
      ],
      reserved_keywords: ['QUALIFY'],
      supported_statement_kinds: [], // Every kind.
    };
    return analyzer;
  }

  call(method, request) {
    return new Promise((done, fail) => {
      this.client[method](request, (error, reply) => (error ? fail(new Error(error.details)) : done(reply)));
    });
  }

  stop() {
    this.client.close();
    this.process.kill('SIGKILL');
  }
}

/** A message wraps what it holds in a class a level: the name of the innermost, and its content. */
function unwrapped(message) {
  let name;
  while (message?.node) {
    name = message.node;
    message = message[name];
  }
  return { name, node: message };
}

/** A field of a node, or of one of the classes that it extends. */
export function field(node, name) {
  for (let at = node; at; at = at.parent) if (name in at) return at[name];
  return undefined;
}

const kind = (type) => type?.type_kind;
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Why BigQuery refuses a table's options or layout, which the analyzer leaves to the engine; or null. */
function layoutFault(node) {
  for (const { name, value } of field(node, 'option_list') ?? []) {
    const given = kind(field(unwrapped(value).node, 'type'));
    if (given !== `TYPE_${OPTIONS[name]}` && !(OPTIONS[name] === 'FLOAT64' && given === 'TYPE_INT64')) return `${name} is no ${given}`;
  }
  const { partition_by_list: partitions = [], cluster_by_list: clusters = [] } = node;
  if (clusters.length > 4) return 'more than four columns to cluster by';
  for (const cluster of clusters) {
    const { name, node } = unwrapped(cluster);
    if (name !== 'resolved_column_ref_node') return 'CLUSTER BY takes columns';
    if (!CLUSTERED.includes(kind(node.column.type))) return `no column to cluster by: ${node.column.name}`;
  }
  if (partitions.length > 1) return 'more than one column to partition by';
  for (const partition of partitions) {
    let { name, node } = unwrapped(partition);
    let called = 'column';
    if (name === 'resolved_function_call_node') {
      called = node.parent.function.name.replace('ZetaSQL:', '');
      ({ name, node } = unwrapped(node.parent.argument_list[0]));
    }
    const kinds = PARTITIONED[called]?.map((one) => `TYPE_${one}`) ?? [];
    if (name !== 'resolved_column_ref_node' || !kinds.includes(kind(node.column.type))) return `${called} is no partition expression`;
  }
  return null;
}

/** What a table is partitioned and clustered by. */
const layout = (node) => JSON.stringify(
  [node.partition_by_list ?? [], node.cluster_by_list ?? []],
  (name, value) => (['column_id', 'id', 'parse_location_range', 'table_name'].includes(name) ? undefined : value),
);

/** The datasets and tables of a project, as the statements so far leave them. */
export class Project {
  constructor(analyzer, datasets = new Map(), seen = () => {}) {
    this.analyzer = analyzer;
    /** Is told of each statement: its kind, what it is resolved to, where it begins. */
    this.seen = seen;
    this.datasets = datasets;
    this.variables = new Map();
    this.inTransaction = false;
  }

  /** Another project that is now as this one is. */
  copy() {
    return new Project(this.analyzer, new Map([...this.datasets].map(([name, tables]) => [name, new Map(tables)])), this.seen);
  }

  catalog() {
    return {
      builtin_function_options: { language_options: this.analyzer.language },
      constant: [...this.variables].map(([name, type]) => ({ name_path: [name], type, value: {} })),
      catalog: [...this.datasets].map(([name, tables]) => ({
        name,
        table: [...tables].map(([name, { column }]) => ({ name, column })),
        catalog: [INFORMATION_SCHEMA],
      })),
    };
  }

  async resolve(script, position, system_variables = []) {
    const { resolved_statement } = await this.analyzer.call('Analyze', {
      parse_resume_location: { input: script, byte_position: position, allow_resume: true },
      simple_catalog: this.catalog(),
      descriptor_pool_list: { definitions: [{ builtin: {} }] },
      options: {
        language_options: this.analyzer.language,
        default_timezone: 'UTC',
        prune_unused_columns: true,
        error_message_mode: 'ERROR_MESSAGE_ONE_LINE',
        allowed_hints_and_options: {
          disallow_unknown_options: true,
          disallow_duplicate_option_names: true,
          option: Object.keys(OPTIONS).map((name) => ({ name })),
        },
        system_variables,
      },
    });
    return unwrapped(resolved_statement);
  }

  /** DECLARE: its default must fit its type, as a value that is assigned must. From here on the name has that type. */
  async declare(script, { variable_list, type, default_value }) {
    const words = (message) => {
      const { start, end } = field(unwrapped(message).node, 'parse_location_range');
      return script.subarray(start, end).toString();
    };
    const value = default_value && words(default_value);
    const probe = await this.resolve(`SELECT ${type ? `CAST(NULL AS ${words(type)})` : value}`, 0);
    const declared = probe.node.output_column_list[0].column.type;
    for (const { id_string: name } of variable_list.identifier_list) {
      if (value) await this.resolve(`SET @@${name} = ${value}`, 0, [{ name_path: [name], type: declared }]);
      this.variables.set(name, declared);
    }
  }

  /** Does to the tables what a statement does; or says why BigQuery would refuse it. */
  apply(name, node) {
    const path = field(node, 'name_path');
    const [dataset, table] = path ?? [];
    if (/create|drop|alter|truncate/.test(name)) {
      // <https://cloud.google.com/bigquery/docs/transactions#limitations>
      if (this.inTransaction) return 'DDL in a transaction';
      if (path?.length === 2 && !this.datasets.has(dataset)) return `there is no dataset ${dataset}`;
    }
    const tables = this.datasets.get(dataset);
    switch (name) {
      case 'resolved_create_schema_stmt_node':
        if (!tables) this.datasets.set(dataset, new Map());
        return null;
      case 'resolved_create_table_stmt_node':
      case 'resolved_create_table_as_select_stmt_node': {
        const fault = layoutFault(node);
        if (fault) return fault;
        const column = field(node, 'column_definition_list').map(({ name, type }) => ({ name, type }));
        const there = tables.get(table);
        const made = { column, layout: layout(node) };
        switch (there && field(node, 'create_mode')) {
          case 'CREATE_DEFAULT':
            return `${path.join('.')} is there already`;
          case 'CREATE_IF_NOT_EXISTS':
            return same(there.column, column) ? null : `${path.join('.')} is there with other columns`;
          case 'CREATE_OR_REPLACE':
            // A table keeps its partitioning when it is replaced.
            if (there.layout !== made.layout) return `${path.join('.')} would be replaced with another layout`;
        }
        tables.set(table, made);
        return null;
      }
      case 'resolved_create_view_stmt_node':
        if (tables.has(table) && field(node, 'create_mode') !== 'CREATE_OR_REPLACE') return `${path.join('.')} is there already`;
        tables.set(table, { column: field(node, 'output_column_list').map(({ name, column: { type } }) => ({ name, type })) });
        return null;
      case 'resolved_drop_stmt_node':
        if (node.object_type === 'SCHEMA') this.datasets.delete(dataset);
        else if (!tables.delete(table) && !node.is_if_exists) return `there is no table ${path.join('.')}`;
        return null;
      case 'resolved_alter_table_stmt_node': {
        const there = tables.get(table);
        if (!there) return `there is no table ${path.join('.')}`;
        let column = there.column;
        for (const action of field(node, 'alter_action_list')) {
          const { name: change, node: { name: gone, column_definition: added, is_if_not_exists } } = unwrapped(action);
          const name = added?.name ?? gone;
          const has = column.some((one) => one.name === name);
          if (change === 'resolved_drop_column_action_node') {
            if (!has) return `there is no column ${name}`;
            column = column.filter((one) => one.name !== name);
          } else if (change === 'resolved_add_column_action_node') {
            // <https://cloud.google.com/bigquery/docs/managing-table-schemas#add_an_empty_column>
            if (added.annotations?.not_null) return `${name} is added and would be NULL`;
            if (has && !is_if_not_exists) return `there is a column ${name}`;
            if (!has) column = [...column, { name, type: added.type }];
          } else return `this check follows no ${change}`;
        }
        tables.set(table, { ...there, column });
        return null;
      }
      case 'resolved_begin_stmt_node':
        if (this.inTransaction) return 'a transaction in a transaction';
        this.inTransaction = true;
        return null;
      case 'resolved_commit_stmt_node':
        if (!this.inTransaction) return 'there is no transaction to commit';
        this.inTransaction = false;
        this.variables.clear(); // A block is a script of its own, which ends here.
        return null;
      case 'resolved_query_stmt_node':
      case 'resolved_insert_stmt_node':
      case 'resolved_update_stmt_node':
      case 'resolved_delete_stmt_node':
        return null;
      default:
        return `this check follows no ${name}`;
    }
  }

  /** Analyzes a script. Gives the number of its statements, and what is refused. */
  async run(text) {
    const script = Buffer.from(text);
    const refused = [];
    let statements;
    try {
      const { parsed_script } = await this.analyzer.call('Parse', {
        sql_statement: text, options: this.analyzer.language, allow_script: true,
      });
      statements = parsed_script.statement_list_node.statement_list ?? [];
    } catch (error) {
      return { count: 1, refused: [error.message] };
    }
    for (const statement of statements) {
      const { name, node } = unwrapped(statement);
      const { start } = field(node, 'parse_location_range');
      let fault = null;
      try {
        if (name === 'ast_variable_declaration_node') {
          if (this.inTransaction) fault = 'DECLARE stands first in a script';
          else await this.declare(script, node);
        } else {
          const { name, node } = await this.resolve(text, start, SYSTEM_VARIABLES);
          this.seen(name, node, script.subarray(0, start).toString());
          fault = this.apply(name, node);
        }
      } catch (error) {
        fault = error.message;
      }
      if (fault) refused.push(`${fault} [statement at line ${script.subarray(0, start).toString().split('\n').length}]`);
    }
    if (this.inTransaction) refused.push('a transaction stays open');
    return { count: statements.length, refused };
  }
}
