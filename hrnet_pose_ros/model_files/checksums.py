# SPDX-License-Identifier: Apache-2.0
"""SHA-256 of files, hexadecimal: the checksum by which this package knows a model file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; OSError where it cannot be read."""
    with path.open("rb") as file:
        return sha256_of_stream(file)


def sha256_of_stream(file: IO[bytes]) -> str:
    """SHA-256 of an open file from its present position to its end."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
