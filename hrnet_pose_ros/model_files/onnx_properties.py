# SPDX-License-Identifier: Apache-2.0
"""The ``metadata_props`` of an ONNX file, read without any library: a vehicle has none for it.

An ONNX file is a ``ModelProto`` in protobuf's wire format (onnx.proto, protobuf's encoding guide).
The weights are stepped over, not read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hrnet_pose_ros.model_files.metadata import ModelError

# Numbers of fields in ModelProto and in its StringStringEntryProto.
_IR_VERSION, _GRAPH, _METADATA_PROPS = 1, 7, 14
_KEY, _VALUE = 1, 2
# Kinds of fields on the wire.
_VARINT, _FIXED_64, _WITH_LENGTH, _FIXED_32 = 0, 1, 2, 5
_LONGEST_VARINT = 10  # bytes


def read_properties(file: IO[bytes], path: Path) -> dict[str, str]:
    """Keys and values of an open file's ``metadata_props``; empty where it has none.

    Raises
    ------
    ModelError
        The file, which the message calls ``path``, cannot be read, is truncated, or no ONNX model.
    """
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _properties(data)
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:  # an empty file, or one that ends in a field
        raise ModelError(f"'{path}' is damaged or not an ONNX model: export it again") from error


def _properties(data: mmap.mmap) -> dict[str, str]:
    numbers, properties = set(), {}
    for number, start, end in _fields(data, 0, len(data)):
        numbers.add(number)
        if number == _METADATA_PROPS:
            entry = {n: data[first:last].decode() for n, first, last in _fields(data, start, end)}
            properties[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    if not {_IR_VERSION, _GRAPH} <= numbers:
        raise ValueError("no ModelProto")
    return properties


def _fields(data: mmap.mmap, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """``(number, first byte, byte after the last)`` of each field of a message."""
    while place < end:
        tag, place = _varint(data, place, end)
        kind, first = tag & 7, place
        if kind == _VARINT:
            _, place = _varint(data, place, end)
        elif kind == _WITH_LENGTH:
            length, first = _varint(data, place, end)
            place = first + length
        elif kind in (_FIXED_64, _FIXED_32):
            place += 8 if kind == _FIXED_64 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        if place > end:
            raise ValueError("truncated")
        yield tag >> 3, first, place


def _varint(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the place after it."""
    value = 0
    for shift in range(_LONGEST_VARINT):
        if place >= end:
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, place
    raise ValueError("no end of a number")
