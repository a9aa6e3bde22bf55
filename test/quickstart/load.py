#!/usr/bin/python3
"""Turns a CSV file with a header into a psql script that loads it encrypted.

    load.py < customers.csv | psql

The table "customers" gets the columns tenant and id, and for every other
column of the file two: NAME_in, text, which takes the plaintext in and is
always empty afterwards, and NAME, of type envelope.  The trigger
env_encrypt_column moves one into the other, so that no plaintext is ever
stored.  The view "customers_plain" shows the plaintexts to whoever may
decrypt.

A file without the columns tenant or id gets made-up ones; what was made up
is said on standard error.  Empty fields are NULL.
"""

import csv
import sys
import uuid


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def copied(field):
    """A field in COPY's text format."""
    if field == "":
        return "\\N"
    for plain, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"),
                           ("\t", "\\t")):
        field = field.replace(plain, escaped)
    return field


def column_names(header):
    """Names for the columns of a header: none empty, no two alike."""
    names = []
    for number, name in enumerate(header, 1):
        name = name.strip() or f"column_{number}"
        if name.lower() in ("tenant", "id"):
            name = name.lower()
        while name in names or len(name.encode()) > 50:
            name = f"column_{number}"
        names.append(name)
    return names


def definitions(secret):
    """The statements that make the table, its triggers and the view."""
    columns, triggers, shown = [], [], []
    for name in secret:
        source, kind = name + "_in", "customers." + name
        columns.append(f"    {identifier(source)} text "
                       f"CHECK ({identifier(source)} IS NULL),\n"
                       f"    {identifier(name)} envelope,\n")
        arguments = ", ".join(literal(text) for text in (
            source, name, "tenant=tenant", "type:" + kind, "id=id"))
        triggers.append(
            f"CREATE TRIGGER {identifier('encrypt_' + name)}\n"
            f"    BEFORE INSERT OR UPDATE ON customers FOR EACH ROW\n"
            f"    EXECUTE FUNCTION env_encrypt_column({arguments});\n")
        shown.append(
            f"    env_decrypt({identifier(name)}, jsonb_build_object(\n"
            f"        'tenant', tenant, 'type', {literal(kind)}, 'id', id))\n"
            f"        AS {identifier(name)}")
    return ("CREATE TABLE customers (\n"
            "    tenant text NOT NULL,\n"
            "    id text NOT NULL,\n"
            + "".join(columns) +
            "    PRIMARY KEY (tenant, id)\n);\n"
            + "".join(triggers) +
            "CREATE VIEW customers_plain AS SELECT\n"
            "    tenant,\n    id,\n" + ",\n".join(shown) +
            "\nFROM customers;\n")


def main():
    sys.stdin.reconfigure(encoding="utf-8-sig", newline="")
    rows = csv.reader(sys.stdin)
    header = next(rows, None)
    if not header:
        sys.exit("The CSV file is empty: it needs a header line.")
    names = column_names(header)
    secret = [name for name in names if name not in ("tenant", "id")]
    if not secret:
        sys.exit("The CSV file has no column besides tenant and id.")
    if "tenant" not in names:
        print('No column "tenant": every row is of the tenant "quickstart".',
              file=sys.stderr)
    if "id" not in names:
        print('No column "id": every row gets a random one.',
              file=sys.stderr)

    # Whatever ends this early also rolls it back.
    print("BEGIN;")
    print(definitions(secret))
    targets = ["tenant", "id"] + [identifier(name + "_in") for name in secret]
    print(f"COPY customers ({', '.join(targets)}) FROM STDIN;")
    for fields in rows:
        if not fields:
            continue
        if len(fields) != len(names):
            sys.exit(f"Line {rows.line_num} has {len(fields)} fields, "
                     f"the header {len(names)}.")
        row = dict(zip(names, fields))
        print("\t".join([
            copied(row.get("tenant", "quickstart")),
            copied(row.get("id") or str(uuid.uuid4())),
            *(copied(row[name]) for name in secret)]))
    print("\\.")
    print("COMMIT;")
    return 0


if __name__ == "__main__":
    sys.exit(main())
