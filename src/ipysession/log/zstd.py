"""Python's zstd, which the standard library has from 3.14 on. Imported when it is wanted."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
