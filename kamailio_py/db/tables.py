"""Kamailio's own tables, as data: what `tables.txt` says, and how it is said in sqlite's SQL."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kamailio_py.dataclass import dataclass, field
from kamailio_py.db.errors import DbError

SQLITE_TYPES = {
    "key": "INTEGER PRIMARY KEY",
    "int": "INTEGER",
    "smallint": "SMALLINT",
    "real": "REAL",
    "text": "TEXT",
    "blob": "BLOB",
    "time": "TIMESTAMP WITHOUT TIME ZONE",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `default` is as SQL writes it, "" if there is none."""

    name: str
    type: str
    nullable: bool
    default: str


@dataclass(slots=True)
class Table:
    """A table: its columns, and the columns of its keys by their names."""

    name: str
    version: int
    columns: list[Column] = field(default_factory=list)
    unique: dict[str, list[str]] = field(default_factory=dict)
    index: dict[str, list[str]] = field(default_factory=dict)


@cache
def standard_tables() -> dict[str, Table]:
    """All tables by name."""
    tables: dict[str, Table] = {}
    lines = Path(__file__).with_name("tables.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        match line.partition("#")[0].split():
            case ["table", name, version]:
                table = tables[name] = Table(name, int(version))
            case ["unique", name, *columns]:
                table.unique[name.rstrip(":")] = columns
            case ["index", name, *columns]:
                table.index[name.rstrip(":")] = columns
            case [name, type, *default]:
                text = " ".join(default[1:])
                table.columns.append(Column(name, type.rstrip("?"), type.endswith("?"), text))
    return tables


def sqlite_statements(table: Table) -> list[str]:
    """What makes a table in sqlite."""
    lines = []
    for column in table.columns:
        type = SQLITE_TYPES.get(column.type) or column.type.replace("string", "VARCHAR")
        default = f" DEFAULT {column.default}" if column.default else ""
        lines.append(f"{column.name} {type}{default}{'' if column.nullable else ' NOT NULL'}")
    for name, columns in table.unique.items():
        lines.append(f"CONSTRAINT {table.name}_{name} UNIQUE ({', '.join(columns)})")
    return [
        f"CREATE TABLE {table.name} (\n    " + ",\n    ".join(lines) + "\n)",
        *(
            f"CREATE INDEX {table.name}_{name} ON {table.name} ({', '.join(columns)})"
            for name, columns in table.index.items()
        ),
        f"INSERT INTO version (table_name, table_version) VALUES ('{table.name}', {table.version})",
    ]


def create_sqlite(path: str) -> int:
    """Make a database file with all tables; how many these are. DbError if it cannot be made or is there already."""
    if Path(path).exists():
        raise DbError(f"{path} is there already")
    import sqlite3  # here, so that servers without a database do not load it

    tables = standard_tables()
    try:
        database = sqlite3.connect(path)
        try:
            with database:
                for table in tables.values():
                    for statement in sqlite_statements(table):
                        database.execute(statement)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise DbError(f"could not make {path}: {error}") from None
    return len(tables)
