"""Results of jobs in the SQLite file of the windows."""

import json
import sqlite3
from collections.abc import Sequence

from core.kinds import KindId
from runtime.sqlite import SqliteFile
from timeseries.results import (
    MAX_RESULTS,
    Result,
    checked_job,
    checked_kind,
    checked_number,
    checked_replacement,
    checked_result,
)
from timeseries.store import checked_zone

RESULTS_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    job    TEXT    NOT NULL,
    zone   TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    other  TEXT    NOT NULL, -- empty where there is none
    at     INTEGER NOT NULL, -- milliseconds since the epoch, UTC
    values_ TEXT   NOT NULL, -- an object of JSON: numbers by name
    PRIMARY KEY (job, zone, at, kind, other)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_by_time ON results (job, at)
"""
_UPSERT = """
INSERT INTO results (job, zone, kind, other, at, values_) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (job, zone, at, kind, other) DO UPDATE SET values_ = excluded.values_
"""
_OF_ALL = """
SELECT zone, kind, other, at, values_ FROM results
WHERE job = :job AND at >= :start AND at < :end AND (:kind IS NULL OR kind = :kind)
ORDER BY at, zone, kind, other LIMIT :most
"""
_OF_ZONE = """
SELECT zone, kind, other, at, values_ FROM results
WHERE job = :job AND zone = :zone AND at >= :start AND at < :end AND (:kind IS NULL OR kind = :kind)
ORDER BY at, zone, kind, other LIMIT :most
"""
_DELETE = "DELETE FROM results WHERE job = ? AND at >= ? AND at < ?"
_INT64 = 2**63 - 1


class SqliteResults:
    """Reads and writes results in one file, as `timeseries.results.ResultStore` says."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def write(self, results: Sequence[Result]) -> None:
        """Write results in one transaction."""
        rows = [_row(checked_result(result)) for result in results]

        def upsert(connection: sqlite3.Connection) -> None:
            connection.executemany(_UPSERT, rows)

        if rows:
            await self._file.write(upsert)

    async def read(
        self,
        job: str,
        *,
        start: int,
        end: int,
        zone: str | None = None,
        kind: KindId | None = None,
        most: int = MAX_RESULTS,
    ) -> list[Result]:
        """The results of a job in [start, end)."""
        if kind is not None:
            checked_kind(kind)
        parameters = {
            "job": checked_job(job),
            "start": _representable(start),
            "end": _representable(end),
            "zone": None if zone is None else checked_zone(zone),
            "kind": kind,
            "most": most + 1,
        }

        def found(connection: sqlite3.Connection) -> list[Result]:
            rows = connection.execute(_OF_ALL if zone is None else _OF_ZONE, parameters)
            return [
                Result(job, where, KindId(what), other, at, json.loads(text)) for where, what, other, at, text in rows
            ]

        return checked_number(await self._file.read(found), most)

    async def replace(self, job: str, start: int, end: int, results: Sequence[Result]) -> None:
        """Put results in the place of all that a job had in [start, end), in one transaction."""
        checked_replacement(job, start, end, results)
        rows = [_row(result) for result in results]
        limits = (job, _representable(start), _representable(end))

        def renew(connection: sqlite3.Connection) -> None:
            connection.execute(_DELETE, limits)
            connection.executemany(_UPSERT, rows)

        await self._file.write(renew)


def _row(result: Result) -> tuple[str, str, str, str, int, str]:
    values = {name: float(value) for name, value in result.values.items()}
    return result.job, result.zone, result.kind, result.other, result.at, json.dumps(values)


def _representable(limit: int) -> int:
    return min(max(limit, -_INT64), _INT64)
