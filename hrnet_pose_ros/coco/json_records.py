# SPDX-License-Identifier: Apache-2.0
"""Checked reading of the JSON files of a COCO data set: annotations and detections.

Such files are written by many tools. Each value is checked once, when its file is read and before
any engine runs; the error names file, record, field and value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# No coordinate, area, score or id of a data set comes near it.
LARGEST = 1e12
# Characters of a value that a message quotes.
QUOTED = 60


class AnnotationError(ValueError):
    """An annotation or detection file is missing or invalid; the message says where."""


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; ``what`` it is supposed to be, like ``annotations``.

    Raises AnnotationError if the file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"cannot read {what} '{path}': {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"'{path}' is not a JSON file: {error}") from error


@dataclass(frozen=True)
class Record:
    """One object in a list of a JSON file, with the words that name it in errors.

    The methods return a field's value; they raise AnnotationError if the record lacks the field or
    the value is of another kind. ``true`` and ``false`` are not numbers.
    """

    path: Path
    what: str
    number: int
    fields: dict[str, Any]

    def __str__(self) -> str:
        number = f"{self.what} number {self.number}"
        if isinstance(self.fields.get("id"), (int, str)):
            number += f" (id {_quoted(self.fields['id'])})"
        return number

    def __contains__(self, field: str) -> bool:
        return field in self.fields

    def integer(self, field: str, least: float = -LARGEST) -> int:
        """A whole number, also written as 7.0."""
        value = self._value(field)
        wanted = "a whole number" if least == -LARGEST else f"a whole number from {least:g} on"
        if not (_is_number(value) and least <= value <= LARGEST and value == int(value)):
            raise self.error(field, wanted)
        return int(value)

    def number_of(self, field: str, least: float = -LARGEST) -> float:
        """A finite number."""
        value = self._value(field)
        wanted = "a finite number" if least == -LARGEST else f"a finite number from {least:g} on"
        if not (_is_number(value) and least <= value <= LARGEST):
            raise self.error(field, wanted)
        return float(value)

    def numbers(self, field: str, count: int) -> list[float]:
        """A list of ``count`` finite numbers."""
        values = self._value(field)
        if isinstance(values, list) and len(values) != count:
            raise AnnotationError(
                f"'{self.path}': {self} has {len(values)} numbers in '{field}', expected {count}"
            )
        if not isinstance(values, list) or not {*map(type, values)} <= {int, float}:
            raise self.error(field, f"a list of {count} numbers")
        for place, value in enumerate(values):
            if not -LARGEST <= value <= LARGEST:  # also where it is NaN
                raise AnnotationError(
                    f"'{self.path}': {self} has {_quoted(value)} in '{field}' (place {place}), "
                    "which is not finite or far too large"
                )
        return values

    def text(self, field: str) -> str:
        """A text that is not empty."""
        value = self._value(field)
        if not isinstance(value, str) or not value:
            raise self.error(field, "a text")
        return value

    def error(self, field: str, wanted: str) -> AnnotationError:
        """The error for a value that is something else than wanted."""
        return AnnotationError(
            f"'{self.path}': '{field}' of {self} is {_quoted(self.fields.get(field))}, "
            f"expected {wanted}"
        )

    def _value(self, field: str) -> Any:
        if field not in self.fields:
            raise AnnotationError(f"'{self.path}': {self} has no '{field}'")
        return self.fields[field]


def records_of(entries: Any, what: str, path: Path) -> Iterator[Record]:
    """The objects of a list; AnnotationError if it is no list or holds something else."""
    if not isinstance(entries, list):
        raise AnnotationError(
            f"'{path}' must contain a list of {what}s, not {_quoted(entries)} "
            f"({type(entries).__name__})"
        )
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise AnnotationError(
                f"'{path}': {what} number {number} is {_quoted(entry)}, expected an object"
            )
        yield Record(path, what, number, entry)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _quoted(value: Any) -> str:
    """A value as JSON writes it, shortened."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        text = type(value).__name__
    return text if len(text) <= QUOTED else text[:QUOTED] + "…"
