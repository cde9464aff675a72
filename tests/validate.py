"""Validates documents, one a line on standard input, by a JSON schema: validate.py SCHEMA, beside which stand those that it names.

Prints each document's first violation, and fails if there is one.
"""
import json
import pathlib
import sys

import jsonschema
import referencing

schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(sys.argv[1]).parent


def named(text):
    return referencing.Resource.from_contents(text, default_specification=referencing.jsonschema.DRAFT202012)


known = [(path.name, json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
resources = [(name, named(text)) for name, text in known]
resources += [(text["$id"], named(text)) for _, text in known if "$id" in text]
registry = referencing.Registry().with_resources(resources)
validator = jsonschema.validators.validator_for(schema)(schema, registry=registry, format_checker=jsonschema.FormatChecker())
validator.check_schema(schema)
failed = count = 0
for line in sys.stdin:
    count += 1
    for error in validator.iter_errors(json.loads(line)):
        print(f"{'/'.join(map(str, error.absolute_path))}: {error.message[:400]}\n  in {line[:300]}")
        failed += 1
        break
print(f"{count} documents, {failed} of them wrong")
sys.exit(1 if failed or not count else 0)
