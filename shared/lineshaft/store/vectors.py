"""Vectors of items: what texts mean, as an embedding model has it. Two texts are as near as their vectors point alike.

An item has one vector for each of its texts. They are kept as float32, at length 1, so that the cosine of two is their
product, behind the mark of the index that made them: those of another model say nothing, and are passed over.
"""

import hashlib
import math
import operator
import sys
from array import array
from collections.abc import Sequence

from lineshaft.config.store import IndexConfig

_MARK = 8  # bytes


class VectorFormat:
    """How the vectors of one index are written and compared."""

    def __init__(self, config: IndexConfig) -> None:
        self.dims = config.dims
        self._mark = hashlib.blake2b(f"{config.embed} {config.dims}".encode(), digest_size=_MARK).digest()

    def pack(self, vectors: Sequence[Sequence[float]]) -> bytes:
        """The bytes of an item's vectors; none for none. Raises ValueError for what is not of this index."""
        return self._mark + b"".join(self._normal(vector) for vector in vectors) if vectors else b""

    def compare(self, query: Sequence[float], packed: bytes) -> float | None:
        """The cosine (-1 to 1) of the nearest of an item's vectors; None if it has none of this index.

        `query` is of length 1, see `normal`.
        """
        if packed[:_MARK] != self._mark:
            return None
        values = array("f", packed[_MARK:])
        if sys.byteorder == "big":
            values.byteswap()
        starts = range(0, len(values), self.dims)
        nearest: float = max(sum(map(operator.mul, query, values[i : i + self.dims])) for i in starts)
        return nearest

    def normal(self, vector: Sequence[float]) -> "array[float]":
        """A vector at length 1. Raises ValueError."""
        if len(vector) != self.dims:
            raise ValueError(f"the embedding has {len(vector)} dimensions, and store.index says {self.dims}")
        length = math.hypot(*vector)
        if not math.isfinite(length):
            raise ValueError("the embedding has a value that is not a number")
        return array("f", [value / length for value in vector] if length else vector)

    def _normal(self, vector: Sequence[float]) -> bytes:
        values = self.normal(vector)
        if sys.byteorder == "big":
            values.byteswap()
        return values.tobytes()
