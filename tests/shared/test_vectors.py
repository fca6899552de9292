"""Vectors of items: how they are kept, and which of them are near."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.config.store import IndexConfig
from lineshaft.store.vectors import VectorFormat

CONFIG = IndexConfig(embed="a:b", dims=3)
FORMAT = VectorFormat(CONFIG)
VECTORS = st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=3, max_size=3)


def cosine(a: list[float], b: list[float]) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


@given(VECTORS, st.lists(VECTORS, min_size=1, max_size=4))
def test_the_nearest_of_an_items_vectors_counts(query: list[float], vectors: list[list[float]]) -> None:
    score = FORMAT.compare(FORMAT.normal(query), FORMAT.pack(vectors))
    assert score == pytest.approx(max(cosine(query, vector) for vector in vectors), abs=1e-5)


def test_an_item_without_texts_has_no_score() -> None:
    assert FORMAT.pack([]) == b""
    assert FORMAT.compare([1, 0, 0], b"") is None


@pytest.mark.parametrize("other", [IndexConfig(embed="a:c", dims=3), IndexConfig(embed="a:b", dims=2)])
def test_vectors_of_another_model_are_passed_over(other: IndexConfig) -> None:
    """The configuration was changed: what was stored before says nothing to the new model."""
    packed = VectorFormat(other).pack([[1.0] * other.dims])
    assert FORMAT.compare([1, 0, 0], packed) is None
    assert VectorFormat(CONFIG).compare([1, 0, 0], FORMAT.pack([[2, 0, 0]])) == 1


@pytest.mark.parametrize("vector", [[1.0], [], [1.0, math.nan, 0.0], [1.0, math.inf, 0.0]])
def test_what_is_no_vector_of_this_index_is_refused(vector: list[float]) -> None:
    with pytest.raises(ValueError, match="the embedding has"):
        FORMAT.pack([vector])
