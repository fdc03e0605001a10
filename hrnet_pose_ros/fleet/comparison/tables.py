# SPDX-License-Identifier: Apache-2.0
"""Tables that are written row by row: JSON Lines, and Parquet where pyarrow is installed."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.fleet.folder import json_line

TAG = "tag_"  # before the name of a tag in the name of its column
GROUP_ROWS = 10_000  # of Parquet: what is kept in memory


def why_no_parquet() -> str:
    """Why tables are written as JSON Lines alone, and the way out; empty if they are not."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        return f"no Parquet files because pyarrow is not installed ({error}): pip install pyarrow"
    return ""


class TableWriter:
    """Writes rows of one dataclass to ``NAME.jsonl`` and ``NAME.parquet``, atomically.

    Used as a context manager; the files appear when the block ends without an error.

    Parameters
    ----------
    kind
        The dataclass; its fields are columns: str, int, float or bool, or one of them or None.
    tags
        Names of the tags; each is one more column, ``tag_NAME``.
    """

    def __init__(self, folder: Path, name: str, kind: type[Any], tags: Sequence[str] = ()) -> None:
        self._path, self._kind, self._tags = folder / name, kind, tags
        self._stack = ExitStack()
        self._rows: list[dict[str, Any]] = []
        self._parquet: Any = None
        self.count = 0

    def __enter__(self) -> TableWriter:
        with ExitStack() as stack:
            partial = stack.enter_context(replacing(self._path.with_suffix(".jsonl")))
            self._lines = stack.enter_context(partial.open("w", encoding="utf-8"))
            if not why_no_parquet():
                import pyarrow.parquet

                self._schema = _schema(self._kind, self._tags)
                partial = stack.enter_context(replacing(self._path.with_suffix(".parquet")))
                self._parquet = stack.enter_context(
                    pyarrow.parquet.ParquetWriter(partial, self._schema, compression="zstd")
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._write_group()
        except BaseException as inner:
            self._stack.__exit__(type(inner), inner, inner.__traceback__)
            raise
        self._stack.__exit__(*error)

    def write(self, row: Any, tags: Mapping[str, str] | None = None) -> None:
        """Write one row; tags that it does not have are empty."""
        values = {name: _finite(value) for name, value in vars(row).items()}
        values |= {f"{TAG}{name}": (tags or {}).get(name, "") for name in self._tags}
        self._lines.write(json_line(values))
        self.count += 1
        if self._parquet is not None:
            self._rows.append(values)
            if len(self._rows) == GROUP_ROWS:
                self._write_group()

    def _write_group(self) -> None:
        if self._rows:
            import pyarrow

            self._parquet.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
            self._rows = []


def _finite(value: Any) -> Any:
    """JSON has no NaN; neither have our tables."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _schema(kind: type[Any], tags: Sequence[str]) -> Any:
    import pyarrow

    columns = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
    hints = typing.get_type_hints(kind)
    fields = [(one.name, columns[_plain(hints[one.name])]) for one in dataclasses.fields(kind)]
    return pyarrow.schema([*fields, *((f"{TAG}{name}", pyarrow.string()) for name in tags)])


def _plain(hint: Any) -> type[Any]:
    """The type of a column: that of a Literal's words, or of what may be None."""
    if typing.get_origin(hint) is typing.Literal:
        return str
    if isinstance(hint, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not type(None))
    return typing.cast("type[Any]", hint)
