"""typecheck.py PLANS TABLES: PLANS has a folder of plans a dialect, TABLES a script a dialect, which creates what
is there before the first run.

Resolves every column of the plans for Snowflake and Redshift with sqlglot's optimizer, and types every expression,
with the tables that the statements before it create. Prints what is wrong and the counts as JSON, and
fails; negative controls must be refused.

It knows no vendor's rules for functions: FUNCTIONS has the types of those that sqlglot doesn't know. It can't know what a
warehouse's planner refuses, such as a form of correlated subquery, nor privileges, quotas, layouts and limits of length.
"""

import json
import logging
import pathlib
import sys

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

logging.disable()
DIALECTS = ("redshift", "snowflake")

# What sqlglot doesn't know, with the page that has its type.
FUNCTIONS = {
    # <https://docs.aws.amazon.com/redshift/latest/dg/r_FNV_HASH.html>
    ("redshift", "FNV_HASH"): "BIGINT",
    # <https://docs.aws.amazon.com/redshift/latest/dg/r_OCTET_LENGTH.html>
    ("redshift", "OCTET_LENGTH"): "INT",
    # <https://docs.snowflake.com/en/sql-reference/functions/hash>
    ("snowflake", "HASH"): "BIGINT",
}
TYPES = {
    # <https://docs.aws.amazon.com/redshift/latest/dg/r_DATEDIFF_function.html>
    exp.TsOrDsDiff: {"returns": exp.DataType.Type.BIGINT},
    # <https://docs.aws.amazon.com/redshift/latest/dg/r_DATEADD_function.html>
    exp.TsOrDsAdd: {"returns": exp.DataType.Type.TIMESTAMP},
    # <https://docs.snowflake.com/en/sql-reference/functions/to_char>
    exp.ToChar: {"returns": exp.DataType.Type.VARCHAR},
}

FAMILIES = (
    ("text", exp.DataType.TEXT_TYPES),
    ("number", exp.DataType.NUMERIC_TYPES),
    ("time", exp.DataType.TEMPORAL_TYPES),
    ("truth", {exp.DataType.Type.BOOLEAN}),
)


class Refused(Exception):
    """A statement that a warehouse would refuse."""


def family(node):
    """The family of an expression's type, or None for NULL."""
    found = node.type
    if isinstance(node, exp.Null) or (found is not None and found.is_type("null")):
        return None
    for name, types in FAMILIES:
        if found is not None and found.this in types:
            return name
    raise Refused(f"no type is known for {node.sql()[:80]}")


def together(nodes, what):
    """All of one family; NULL goes with each."""
    found = {name for name in map(family, nodes) if name}
    if len(found) > 1:
        raise Refused(f"{what}: {', '.join(sorted(found))}")


class Database:
    """The tables, as the statements so far leave them."""

    def __init__(self, dialect, tables=None, variables=None):
        self.dialect = dialect
        self.tables = dict(tables or {})
        self.variables = dict(variables or {})

    def copy(self):
        return Database(self.dialect, self.tables, self.variables)

    def name(self, table):
        return f"{table.db}.{table.name}".lower()

    def columns(self, table):
        try:
            return self.tables[self.name(table)]
        except KeyError:
            raise Refused(f"there is no table {self.name(table)}") from None

    def schema(self):
        nested = {}
        for name, columns in self.tables.items():
            schema, table = name.split(".")
            nested.setdefault(schema, {})[table] = columns
        # Names are compared without case: both warehouses hold these in one case.
        return MappingSchema(nested, dialect=self.dialect, normalize=False)

    def resolved(self, query):
        """A query with its columns resolved and its expressions typed."""
        query = query.copy()
        for identifier in query.find_all(exp.Identifier):
            identifier.set("this", identifier.name.lower())
            identifier.set("quoted", False)
        for table in query.find_all(exp.Table):
            if table.db:
                self.columns(table)
        for variable in query.find_all(exp.Parameter):
            known = self.variables.get(variable.name.lower())
            if not known:
                raise Refused(f"no variable {variable.name} is set")
            variable.replace(exp.cast(exp.Null(), known))
        schema = self.schema()
        query = qualify(
            query, schema=schema, dialect=None, validate_qualify_columns=True, identify=False, quote_identifiers=False
        )
        for call in query.find_all(exp.Anonymous):
            known = FUNCTIONS.get((self.dialect, call.name.upper()))
            if not known:
                raise Refused(f"no function {call.name} is known")
            call.replace(exp.cast(exp.Null(), known))
        types = {**sqlglot.Dialect.get_or_raise(self.dialect).EXPRESSION_METADATA, **TYPES}
        query = annotate_types(query, schema=schema, dialect=self.dialect, expression_metadata=types)
        self.check(query)
        return query

    def check(self, query):
        for node in query.walk():
            if isinstance(node, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)):
                right = node.right
                if isinstance(right, (exp.All, exp.Any)):  # NOT IN, as some dialects read it.
                    right = right.this.unnest().selects[0]
                together([node.left, right], f"compares {node.sql()[:80]}")
            elif isinstance(node, exp.Between):
                together([node.this, node.args["low"], node.args["high"]], f"compares {node.sql()[:80]}")
            elif isinstance(node, (exp.TsOrDsAdd, exp.TsOrDsDiff)):
                times = [node.this] + ([node.expression] if isinstance(node, exp.TsOrDsDiff) else [])
                if {family(time) for time in times} - {"time", None}:
                    raise Refused(f"{node.sql()[:80]} of no time")
            elif isinstance(node, exp.In) and node.args.get("query"):
                selects = node.args["query"].unnest().selects
                if len(selects) != 1:
                    raise Refused(f"IN with {len(selects)} columns")
                together([node.this, selects[0]], f"IN {node.sql()[:80]}")
            elif isinstance(node, (exp.Sum, exp.Avg)) and family(node.this) not in ("number", None):
                raise Refused(f"{node.sql()[:80]} of no numbers")
            elif isinstance(node, (exp.And, exp.Or)):
                for side in (node.left, node.right):
                    if family(side) not in ("truth", None):
                        raise Refused(f"{side.sql()[:80]} is no condition")
            elif isinstance(node, (exp.Where, exp.Having)) and family(node.this) not in ("truth", None):
                raise Refused(f"{node.this.sql()[:80]} is no condition")
            elif isinstance(node, exp.SetOperation):
                left, right = node.left.selects, node.right.selects
                if len(left) != len(right):
                    raise Refused(f"a union of {len(left)} and {len(right)} columns")
                for one, other in zip(left, right):
                    together([one, other], f"a union of {one.sql()[:40]}")
            elif isinstance(node, exp.Select):
                self.check_groups(node)

    @staticmethod
    def check_groups(select):
        """What is selected beside an aggregate is grouped by."""
        group = select.args.get("group")
        grouped = {column.sql() for column in (group.find_all(exp.Column) if group else ())}

        def loose(node):
            if isinstance(node, (exp.AggFunc, exp.Window, exp.Query)):
                return []
            if isinstance(node, exp.Column):
                return [] if node.sql() in grouped else [node]
            return [found for child in node.iter_expressions() for found in loose(child)]

        aggregates = any(
            aggregate.parent_select is select and not aggregate.find_ancestor(exp.Window)
            for one in select.selects
            for aggregate in one.find_all(exp.AggFunc)
        )
        if group or aggregates:
            for one in select.selects:
                for column in loose(one):
                    raise Refused(f"{column.sql()} is not grouped")

    def on_row(self, table, expressions):
        """Expressions over the row of one table, resolved: as a query of it."""
        alias = table.alias or table.name
        query = exp.select(*expressions).from_(exp.alias_(exp.table_(table.name, db=table.db), alias, table=True))
        return self.resolved(query)

    def apply(self, statement):
        apply = getattr(self, f"apply_{type(statement).__name__.lower()}", None)
        if not apply:
            raise Refused(f"this check follows no {type(statement).__name__}")
        apply(statement)

    def apply_select(self, statement):
        self.resolved(statement)

    apply_union = apply_select

    def apply_create(self, statement):
        if statement.kind == "SCHEMA":
            return
        if statement.kind not in ("TABLE", "VIEW"):
            raise Refused(f"this check follows no CREATE {statement.kind}")
        target = statement.this
        table = target.this if isinstance(target, exp.Schema) else target
        if statement.expression:
            query = self.resolved(statement.expression)
            columns = {one.alias_or_name.lower(): one.type for one in query.selects}
            if len(columns) != len(query.selects):
                raise Refused("two columns have one name")
            for one in query.selects:
                family(one)
        else:
            definitions = target.expressions
            columns = {definition.name.lower(): definition.args["kind"] for definition in definitions}
            if len(columns) != len(definitions):
                raise Refused("two columns have one name")
        there = self.tables.get(self.name(table))
        if there is None or statement.args.get("replace"):
            self.tables[self.name(table)] = columns
        elif not statement.args.get("exists"):
            raise Refused(f"{self.name(table)} is there already")
        elif list(there) != list(columns):
            raise Refused(f"{self.name(table)} is there with other columns")

    def apply_drop(self, statement):
        for table in statement.args["tables"]:
            if self.tables.pop(self.name(table), None) is None and not statement.args.get("exists"):
                raise Refused(f"there is no table {self.name(table)}")

    def apply_alter(self, statement):
        columns = dict(self.columns(statement.this))
        for action in statement.args["actions"]:
            if isinstance(action, exp.Drop) and action.args["kind"] == "COLUMN":
                for column in action.args["tables"]:
                    if columns.pop(column.name.lower(), None) is None:
                        raise Refused(f"there is no column {column.name}")
            elif isinstance(action, exp.ColumnDef):
                name = action.name.lower()
                if name in columns and not action.args.get("exists"):
                    raise Refused(f"there is a column {name}")
                columns.setdefault(name, action.args["kind"])
            else:
                raise Refused(f"this check follows no ALTER TABLE … {type(action).__name__}")
        self.tables[self.name(statement.this)] = columns

    def apply_insert(self, statement):
        target = statement.this
        table = target.this if isinstance(target, exp.Schema) else target
        columns = self.columns(table)
        names = [one.name.lower() for one in target.expressions] if isinstance(target, exp.Schema) else list(columns)
        if len(set(names)) != len(names):
            raise Refused("a column is inserted twice")
        given = self.resolved(statement.expression).selects
        if len(given) != len(names):
            raise Refused(f"{len(given)} values for {len(names)} columns")
        for name, value in zip(names, given):
            self.fits(columns, name, value)

    def fits(self, columns, name, value):
        if name not in columns:
            raise Refused(f"there is no column {name}")
        column = exp.column(name)
        column.type = columns[name] if isinstance(columns[name], exp.DataType) else exp.DataType.build(columns[name])
        together([column, value], f"{name} takes {value.sql()[:60]}")

    def apply_delete(self, statement):
        where = statement.args.get("where")
        if not where:
            raise Refused("DELETE without WHERE")
        if statement.args.get("using"):
            raise Refused("this check follows no DELETE … USING")
        self.on_row(statement.this, [exp.alias_(exp.Paren(this=where.this.copy()), "condition")])

    def apply_update(self, statement):
        where, source = statement.args.get("where"), statement.args.get("from_")
        assigned = statement.expressions
        table = statement.this
        values = [exp.alias_(one.expression.copy(), f"value_{position}") for position, one in enumerate(assigned)]
        query = exp.select(*values).from_(exp.alias_(exp.table_(table.name, db=table.db), table.alias_or_name, table=True))
        if source:
            query = query.join(source.this.copy(), join_type="cross")
        if where:
            query = query.where(where.this.copy())
        columns = self.columns(table)
        for one, value in zip(assigned, self.resolved(query).selects):
            self.fits(columns, one.this.name.lower(), value)

    def apply_set(self, statement):
        for item in statement.expressions:
            value = self.resolved(item.this.expression.unnest()).selects[0]
            family(value)
            self.variables[item.this.this.name.lower()] = value.type

    def apply_transaction(self, statement):
        pass

    apply_commit = apply_transaction


BEFORE = """
CREATE TABLE d.t (id VARCHAR(64), n BIGINT, x DOUBLE PRECISION, b BOOLEAN, ts TIMESTAMP);
CREATE TABLE d.u (id VARCHAR(64), n BIGINT, x DOUBLE PRECISION, b BOOLEAN, ts TIMESTAMP);
"""
ACCEPTED = (
    "CREATE TABLE d.made AS SELECT id, COUNT(*) AS c, MIN(ts) AS first FROM d.t GROUP BY id",
    "INSERT INTO d.t (id, n) SELECT u.id, SUM(u.n) FROM d.u AS u INNER JOIN d.t AS t ON t.id = u.id GROUP BY u.id",
    "DELETE FROM d.t WHERE id IN (SELECT id FROM d.u) AND ts >= (SELECT MIN(ts) FROM d.u)",
    "DELETE FROM d.t WHERE ts BETWEEN (SELECT MIN(ts) FROM d.u) AND (SELECT MAX(ts) FROM d.u)",
    "UPDATE d.t SET n = found.c FROM (SELECT COUNT(*) AS c FROM d.u) AS found WHERE id = 'run'",
)
REFUSED = {
    "a misspelt column": "SELECT idd FROM d.t",
    "a misspelt column in ON": "SELECT t.id FROM d.t AS t INNER JOIN d.u AS u ON t.id = u.idd",
    "a misspelt column in WHERE": "DELETE FROM d.t WHERE idd = 'a'",
    "a misspelt column in SET": "UPDATE d.t SET nn = 1 WHERE n = 2",
    "a misspelt column to insert": "INSERT INTO d.t (idd) SELECT id FROM d.u",
    "a misspelt column in a subquery": "SELECT id FROM d.t WHERE EXISTS (SELECT 1 FROM d.u WHERE u.idd = t.id)",
    "a table that is not there": "SELECT id FROM d.nothing",
    "a table that is there already": "CREATE TABLE d.t (id VARCHAR(64))",
    "a table that is there with other columns": "CREATE TABLE IF NOT EXISTS d.t (id VARCHAR(64))",
    "a column to add that is there": "ALTER TABLE d.t ADD COLUMN id VARCHAR(64)",
    "a column to add to no table": "ALTER TABLE d.nothing ADD COLUMN id VARCHAR(64)",
    "a table to drop that is not there": "DROP TABLE d.nothing",
    "a column that two tables have": "SELECT id FROM d.t AS t INNER JOIN d.u AS u ON t.n = u.n",
    "an alias that is not there": "SELECT t.id FROM d.t AS one",
    "an unknown function": "SELECT FINGERPRINT(id) AS f FROM d.t",
    "a comparison of text with a number": "SELECT id FROM d.t WHERE id = n",
    "a comparison of a time with a number": "SELECT id FROM d.t WHERE ts >= n",
    "a comparison in ON": "SELECT t.id FROM d.t AS t INNER JOIN d.u AS u ON t.id = u.n",
    "a range of another type": "DELETE FROM d.t WHERE ts BETWEEN (SELECT MIN(ts) FROM d.u) AND (SELECT MAX(n) FROM d.u)",
    "IN with another type": "SELECT id FROM d.t WHERE id IN (SELECT n FROM d.u)",
    "IN with two columns": "SELECT id FROM d.t WHERE id IN (SELECT id, n FROM d.u)",
    "a condition that is no truth value": "SELECT id FROM d.t WHERE n",
    "a condition that is half a truth value": "SELECT id FROM d.t WHERE b AND n",
    "NOT IN with another type": "SELECT id FROM d.t WHERE id NOT IN (SELECT n FROM d.u)",
    "a sum of text": "SELECT SUM(id) AS s FROM d.t",
    "a number into a column of text": "INSERT INTO d.t (id) SELECT n FROM d.u",
    "text into a column of times": "INSERT INTO d.t (ts) SELECT id FROM d.u",
    "a time into a column of numbers": "UPDATE d.t SET n = ts WHERE id = 'a'",
    "fewer values than columns": "INSERT INTO d.t (id, n) SELECT id FROM d.u",
    "a column to insert twice": "INSERT INTO d.t (id, id) SELECT id, id FROM d.u",
    "a union of other types": "SELECT id FROM d.t UNION ALL SELECT n FROM d.u",
    "a union of other counts": "SELECT id, n FROM d.t UNION ALL SELECT id FROM d.u",
    "a column that is not grouped": "SELECT id, n, COUNT(*) AS c FROM d.t GROUP BY id",
    "a column beside an aggregate": "SELECT id, COUNT(*) AS c FROM d.t",
    "two columns of one name": "CREATE TABLE d.made AS SELECT id, n AS id FROM d.t",
    "DELETE without WHERE": "DELETE FROM d.t",
}


# Only one of the two has session variables.
ACCEPTED_BY = {"snowflake": ("SET first = (SELECT MIN(ts) FROM d.t);\nDELETE FROM d.t WHERE ts >= $first",)}
REFUSED_BY = {
    "snowflake": {
        "a variable that is not set": "SELECT id FROM d.t WHERE ts >= $first",
        "a variable of another type": "SET first = (SELECT MIN(n) FROM d.t);\nSELECT id FROM d.t WHERE ts >= $first",
        "a variable of a misspelt column": "SET first = (SELECT MIN(tss) FROM d.t)",
    }
}


def run(database, text):
    """Follows a script; gives the number of its statements, and what is refused."""
    count, refused = 0, []
    for statement in sqlglot.parse(text, read=database.dialect):
        # A comment after the last statement is none.
        if not statement or isinstance(statement, exp.Semicolon):
            continue
        count += 1
        try:
            database.apply(statement)
        except (Refused, SqlglotError) as error:
            refused.append(f"{error}: {statement.sql(dialect=database.dialect, comments=False)[:120]}")
    return count, refused


def main(plans, before):
    count, controls, failures = 0, 0, []
    for dialect in DIALECTS:
        small = Database(dialect)
        failures += run(small, BEFORE)[1]
        for sql in ACCEPTED + ACCEPTED_BY.get(dialect, ()):
            failures += [f"{dialect}: a control that is right was refused: {words}" for words in run(small.copy(), sql)[1]]
        for reason, sql in {**REFUSED, **REFUSED_BY.get(dialect, {})}.items():
            controls += 1
            if not run(small.copy(), sql)[1]:
                failures.append(f"{dialect}: a control was not refused: {reason}: {sql}")
        database = Database(dialect)
        failures += run(database, (before / f"{dialect}.sql").read_text())[1]
        files = sorted((plans / dialect).glob("*.sql"), key=lambda file: (file.name != "main.sql", file.name))
        for file in files:
            at = database if file.name == "main.sql" else database.copy()
            statements, refused = run(at, file.read_text())
            count += statements
            failures += [f"{dialect}/{file.name}: {words}" for words in refused]
    for failure in failures:
        print(failure, file=sys.stderr)
    print(json.dumps({"plans": count, "controls": controls, "faults": len(failures)}))
    return bool(failures) or not count


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
