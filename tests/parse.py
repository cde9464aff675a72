"""Parses plans with sqlglot, each dialect by its own grammar. Prints what does not parse, and fails."""

import logging
import pathlib
import sys

import sqlglot
from sqlglot import exp

logging.disable()  # The words about what it keeps as text: looked at below.
# Statements that sqlglot keeps as text, of engines whose own grammar has them: the tests run these on the engines.
KNOWN = ("RESET max_vacuum_tasks", "RESET disabled_optimizers", 'VACUUM "', "DO $do$")

plans = pathlib.Path(sys.argv[1])
count, failures = 0, []
for file in sorted(plans.glob("*/*.sql")):
    dialect = file.parent.name
    try:
        statements = [statement for statement in sqlglot.parse(file.read_text(), read=dialect) if statement]
    except sqlglot.errors.SqlglotError as error:
        failures.append(f"{file}: {error}")
        continue
    for statement in statements:
        count += 1
        # What sqlglot does not know it keeps as text: that is no parse.
        if isinstance(statement, exp.Command) and not statement.sql(comments=False).startswith(KNOWN):
            failures.append(f"{file}: not parsed: {statement.sql()[:80]}")
print("\n".join(failures) or f"{count} statements parse")
sys.exit(bool(failures) or count == 0)
