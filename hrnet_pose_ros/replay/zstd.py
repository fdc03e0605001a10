# SPDX-License-Identifier: Apache-2.0
"""Zstandard: the standard library's from Python 3.14 on, its backport before."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError, decompress, open
else:
    from backports.zstd import ZstdDecompressor, ZstdError, decompress, open

__all__ = ["ZstdDecompressor", "ZstdError", "decompress", "open"]
