"""Databases for tests: each test gets one as it is after provisioning. One is emptied and used again where that is safe.

Copying the template costs the kernel half a second; emptying what a test wrote costs a fiftieth of that: rows are deleted
where there are few, since to truncate is to make every table and index anew. A database whose structure, grants or
policies a test touched is not given to another.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from hub.embedded import Cluster

_TEMPLATE = "hub_template"
_LARGEST = 4 * 1024 * 1024  # bytes of one table: a bigger one is dropped, its statistics would speak of it for ever
_FEW = 64 * 1024  # bytes of a table, rows deleted before among them: up to here it is quicker to delete
_OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
_WRITTEN = f"""
SELECT n.nspname, c.relname, pg_relation_size(c.oid)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND {_OURS} AND pg_relation_size(c.oid) > 0
"""
_STRUCTURE = f"""
SELECT (SELECT md5(string_agg(concat_ws(',', c.oid, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relname,
                                        c.relchecks, c.relnatts), ';' ORDER BY c.oid))
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}),
       (SELECT md5(string_agg(concat_ws(',', p.oid, p.polname), ';' ORDER BY p.oid)) FROM pg_policy p),
       (SELECT md5(string_agg(concat_ws(',', p.oid, p.prosrc, p.proacl), ';' ORDER BY p.oid))
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}),
       (SELECT md5(string_agg(concat_ws(',', n.oid, n.nspname, n.nspacl), ';' ORDER BY n.oid)) FROM pg_namespace n WHERE {_OURS}),
       (SELECT md5(string_agg(concat_ws(',', t.oid, t.tgname), ';' ORDER BY t.oid)) FROM pg_trigger t),
       (SELECT count(*) FROM pg_attribute a WHERE a.attrelid >= 16384 AND NOT a.attisdropped),
       (SELECT md5(string_agg(concat_ws(',', d.objoid, d.description), ';' ORDER BY d.objoid, d.objsubid))
          FROM pg_description d WHERE d.objoid >= 16384)
"""
_OTHERS = """
SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_COUNTED = """
SELECT seqrelid, pg_sequence_last_value(seqrelid) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""
_RESTART = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""

Table = tuple[str, str]


class FreshDatabases:
    """Gives out databases and takes them back; each is as its template is."""

    def __init__(self, cluster: Cluster, template: str = _TEMPLATE) -> None:
        self._cluster, self._template, self._made = cluster, template, 0
        self._ready: list[str] = []
        with self._connect(template) as connection:
            self._structure = connection.execute(_STRUCTURE).fetchone()
            self._seeds = {table: _rows(connection, table) for table in _written(connection)}
            self._counted = connection.execute(_COUNTED).fetchall()

    def take(self) -> str:
        if self._ready:
            return self._ready.pop()
        self._made += 1
        name = f"{self._template.replace('hub_template', 'test')}_{self._made}"
        clone_template(self._cluster, name, self._template)
        return name

    def give_back(self, name: str) -> None:
        """Empty it for the next test; drop it if it cannot be made as it was."""
        try:
            with self._connect(name) as connection:
                as_before = self._empty(connection)
        except psycopg.Error:
            as_before = False
        if as_before:
            self._ready.append(name)
        else:
            execute(self._cluster, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _empty(self, connection: psycopg.Connection[Any]) -> bool:
        connection.execute("SET lock_timeout = '5s'")
        connection.execute(_OTHERS)
        written = _written(connection)
        if connection.execute(_STRUCTURE).fetchone() != self._structure or max(written.values(), default=0) > _LARGEST:
            return False
        connection.execute("SET LOCAL session_replication_role = replica")  # everything goes: no order to keep to
        if large := [table for table, size in written.items() if size > _FEW]:
            names = sql.SQL(", ").join(sql.Identifier(*table) for table in large)
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        for table in written.keys() - {*large}:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(*table)))
        connection.execute(_RESTART)
        connection.cursor().executemany("SELECT setval(%s::oid::regclass, %s)", self._counted)
        for table, rows in self._seeds.items():
            _put_back(connection, table, rows)
        return True

    def _connect(self, name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self._cluster.urls(name).superuser.replace("+psycopg", ""))


def execute(cluster: Cluster, statement: str) -> None:
    url = cluster.urls("postgres").superuser.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def clone_template(cluster: Cluster, name: str, template: str = _TEMPLATE) -> None:
    """A fresh, provisioned database; file by file where the file system cannot copy inside the kernel."""
    made = f"CREATE DATABASE {name} TEMPLATE {template} OWNER hub_owner"
    try:
        execute(cluster, f"{made} STRATEGY FILE_COPY")
    except psycopg.Error:
        execute(cluster, made)


def _written(connection: psycopg.Connection[Any]) -> dict[Table, int]:
    return {(schema, name): size for schema, name, size in connection.execute(_WRITTEN)}


def _rows(connection: psycopg.Connection[Any], table: Table) -> list[bytes]:
    with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*table))) as copy:
        return [bytes(line) for line in copy]


def _put_back(connection: psycopg.Connection[Any], table: Table, rows: list[bytes]) -> None:
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(*table))) as copy:
        for row in rows:
            copy.write(row)
