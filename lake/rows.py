"""Positions and windows as tables, in their order, each once."""

import struct
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import repeat
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from core.messages import Position
from lake.schema import OCCUPANCY, POSITIONS

Row = tuple[str, Position]
"""The id of a position's document (`documents.document_id`), and the position."""
POSITIONS_ORDER = ("device", "observed_at")
WINDOWS_ORDER = ("zone", "kind", "width", "start")
_FIRST_OF_POSITIONS = [
    ("device", "ascending"),
    ("observed_at", "ascending"),
    ("_zones", "descending"),
    ("received_at", "ascending"),
    # So that one is left whichever came first.
    ("longitude", "ascending"),
    ("latitude", "ascending"),
    ("fence", "ascending"),
]
_FIRST_OF_WINDOWS = [(name, "ascending") for name in WINDOWS_ORDER] + [
    ("written_at", "descending"),
    ("devices", "descending"),
]
_LITTLE_ENDIAN, _POINT = 1, 1
_FIELDS = Position.__struct_fields__


class WindowRow(NamedTuple):
    """How many devices a window had when it was written; times are milliseconds since the epoch."""

    zone: str
    kind: str
    width: str
    """1m, 5m, 1h or 1d."""
    start: int
    end: int
    devices: int
    written_at: int


def positions_table(rows: Sequence[Row]) -> pa.Table:
    """Positions as a table, in the order that they come in."""
    ids, positions = zip(*rows, strict=True)
    columns: dict[str, Sequence[object]] = dict(
        zip(_FIELDS, zip(*map(msgspec.structs.astuple, positions), strict=True), strict=True)
    )
    columns["_id"] = ids
    columns["fence"] = [fence or None for fence in columns["fence"]]
    wkb = struct.Struct("<BIdd").pack
    columns["geometry"] = list(
        map(wkb, repeat(_LITTLE_ENDIAN), repeat(_POINT), columns["longitude"], columns["latitude"])
    )
    return pa.table([pa.array(columns[field.name], field.type) for field in POSITIONS], schema=POSITIONS)


def from_positions_table(table: pa.Table) -> list[Row]:
    """The rows of a table of positions."""
    for name in ("observed_at", "received_at"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].cast(pa.int64()))
    columns = {name: table[name].to_pylist() for name in ("_id", *_FIELDS)}
    columns["zones"] = list(map(tuple, columns["zones"]))
    columns["fence"] = [fence or "" for fence in columns["fence"]]
    positions = map(Position, *(columns[name] for name in _FIELDS))
    return list(zip(columns["_id"], positions, strict=True))


def windows_table(rows: Iterable[WindowRow]) -> pa.Table:
    """Windows as a table, in the order that they come in."""
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, OCCUPANCY, strict=True)], schema=OCCUPANCY
    )


def each_position_once(table: pa.Table) -> pa.Table:
    """A table of positions by device and event time, without repeats.

    Of one device at one millisecond the position with the greater zones stays, as a text joined by commas
    (`state/lua/effects.lua` has it so), and then the one that was received first.
    """
    table = _sorted(table, POSITIONS_ORDER)
    is_first = _is_first(table, POSITIONS_ORDER)
    if pc.all(is_first).as_py():
        return table  # as nearly always, at a third of the cost
    zones = pc.binary_join(table["zones"].cast(pa.list_(pa.string())), ",")
    indices = pc.sort_indices(table.append_column("_zones", zones), sort_keys=_FIRST_OF_POSITIONS)
    return table.take(indices).filter(is_first)


def each_window_once(table: pa.Table) -> pa.Table:
    """A table of windows by zone, kind, width and start: of each the row that was written last."""
    table = table.take(pc.sort_indices(table, sort_keys=_FIRST_OF_WINDOWS))
    return table.filter(_is_first(table, WINDOWS_ORDER))


def _sorted(table: pa.Table, key: Sequence[str]) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in key]))


def _is_first(table: pa.Table, key: Sequence[str]) -> pa.Array:
    """Whether each row is the first of its kind, of a table that is sorted by `key` and has a row."""
    differs = [
        pc.not_equal(values.slice(1), values.slice(0, len(values) - 1))
        for values in (_one(table[name]) for name in key)
    ]
    return pa.concat_arrays([pa.array([True]), reduce(pc.or_, differs)])


def _one(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    column = column.combine_chunks()
    return column if isinstance(column, pa.Array) else column.chunk(0)
