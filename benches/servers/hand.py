"""What one writes by hand: FastAPI and sqlite3, a status column, read and then write. Handlers run in FastAPI's thread pool.

HAND_DB names the file. With HAND_GUARDED=1 the condition stands in the UPDATE, which closes the gap between read and write. With
HAND_RELAXED=1 no write waits for the disk.
"""

import json
import os
import sqlite3
import threading
import time
import uuid
from typing import Any

from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

TERMINAL = ("completed", "failed", "cancelled", "timeout")
GUARDED = os.environ.get("HAND_GUARDED") == "1"
RELAXED = os.environ.get("HAND_RELAXED") == "1"
GUARD = " AND status NOT IN (" + ", ".join(f"'{status}'" for status in TERMINAL) + ")"

app = FastAPI()
local = threading.local()


def database() -> sqlite3.Connection:
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(os.environ["HAND_DB"], timeout=30, isolation_level=None)
        local.connection.row_factory = sqlite3.Row
        local.connection.execute("PRAGMA journal_mode=WAL")
        if RELAXED:
            local.connection.execute("PRAGMA synchronous=NORMAL")
    return local.connection


database().execute(
    """CREATE TABLE IF NOT EXISTS runs (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, flow_id TEXT, status TEXT,
    variables TEXT, tokens_used INTEGER, metadata TEXT, final_output TEXT, created_at REAL, updated_at REAL)"""
)
database().execute("CREATE INDEX IF NOT EXISTS runs_status ON runs (status, n)")


class Create(BaseModel):
    flow_id: str
    variables: dict[str, Any] = {}


class Update(BaseModel):
    status: str | None = None
    tokens_used: int | None = None
    metadata: dict[str, Any] | None = None
    final_output: dict[str, Any] | None = None


def find(id: str) -> sqlite3.Row:
    row = database().execute("SELECT * FROM runs WHERE id=?", (id,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return row


def show(row: sqlite3.Row) -> dict[str, Any]:
    run = dict(row)
    for name in ("variables", "metadata", "final_output"):
        run[name] = json.loads(run[name]) if run[name] else None
    return run


@app.post("/runs", status_code=201)
def create(new: Create):
    id, now = str(uuid.uuid4()), time.time()
    database().execute(
        "INSERT INTO runs (id, flow_id, status, variables, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
        (id, new.flow_id, "pending", json.dumps(new.variables), now, now),
    )
    return show(find(id))


@app.patch("/runs/{id}")
def update(id: str, update: Update):
    row = find(id)
    if update.status and row["status"] in TERMINAL:
        raise HTTPException(409, f"already {row['status']}")
    fields = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in update.model_dump(exclude_none=True).items()
    }
    fields["updated_at"] = time.time()
    statement = f"UPDATE runs SET {', '.join(f'{name}=?' for name in fields)} WHERE id=?"
    if GUARDED and update.status:
        statement += GUARD
    changed = database().execute(statement, (*fields.values(), id)).rowcount
    if not changed:
        raise HTTPException(409, f"already {find(id)['status']}")
    return show(find(id))


@app.get("/runs/{id}")
def get(id: str):
    return show(find(id))


@app.get("/runs")
def newest(limit: int = Query(20, le=100), status: str | None = None):
    where, values = ("WHERE status=?", (status,)) if status else ("", ())
    rows = database().execute(f"SELECT * FROM runs {where} ORDER BY n DESC LIMIT ?", (*values, limit))
    return [show(row) for row in rows]
