# SPDX-License-Identifier: Apache-2.0
"""Zstandard from the standard library (Python 3.14 and later) or its backport."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError, decompress, open
else:
    from backports.zstd import ZstdDecompressor, ZstdError, decompress, open

__all__ = ["ZstdDecompressor", "ZstdError", "decompress", "open"]
