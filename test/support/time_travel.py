"""Time for a stopped server: instead of waiting for days, its catalog's past is moved further into the past."""

from __future__ import annotations

import csv
import datetime
import io
import json
import pathlib
import sqlite3

from .postgres import Postgres

AGED_KINDS = ("collection", "query_time")
AGED_MEMBERS = {"last_transitioned_at", "queried_at", "since", "announced_at", "archive_at"}
DAY_US = 86_400_000_000


def _earlier(value: object, days: float, name: str = "") -> object:
    if isinstance(value, dict):
        return {key: _earlier(member, days, key) for key, member in value.items()}
    if isinstance(value, str) and name in AGED_MEMBERS:
        moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00")) - datetime.timedelta(days=days)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def _aged(body: str, days: float) -> str:
    return json.dumps(_earlier(json.loads(body), days))


def age(data: pathlib.Path, days: float) -> None:
    """As if the server had stood still for so long. The server must not run."""
    db = sqlite3.connect(data / "catalog.db")
    with db:
        marks = ",".join("?" * len(AGED_KINDS))
        rows = db.execute(f"SELECT rowid, body, created_at FROM resources WHERE kind IN ({marks})", AGED_KINDS).fetchall()
        assert rows
        for rowid, body, created_at in rows:
            db.execute("UPDATE resources SET body = ?, created_at = ? WHERE rowid = ?", (_aged(body, days), created_at - int(days * DAY_US), rowid))
    db.close()


def age_postgres(catalog: Postgres, days: float) -> None:
    """The same for servers over a shared catalog."""
    kinds = ",".join(f"'{kind}'" for kind in AGED_KINDS)
    rows = list(csv.reader(io.StringIO(catalog.sql(f"SELECT kind, id, body FROM resources WHERE kind IN ({kinds})"))))
    assert rows
    update = "UPDATE resources SET created_at = created_at - {}, body = $body${}$body$ WHERE kind = '{}' AND id = '{}';"
    catalog.sql("\n".join(update.format(int(days * DAY_US), _aged(body, days), kind, id) for kind, id, body in rows))


def stored_query_time(data: pathlib.Path, collection: str) -> str | None:
    """What is written of a collection's last query, seen beside a running server."""
    db = sqlite3.connect(f"file:{data / 'catalog.db'}?mode=ro", uri=True)
    try:
        found = db.execute("SELECT body FROM resources WHERE kind = 'query_time' AND id = ?", (collection,)).fetchone()
        return json.loads(found[0])["queried_at"] if found else None
    finally:
        db.close()
