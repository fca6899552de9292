"""Embeddings for tests: what a text means is how often each letter is in it."""

from collections import Counter
from string import ascii_lowercase

DIMS = len(ascii_lowercase)


def vector(text: str) -> list[float]:
    counts = Counter(text.lower())
    return [float(counts[letter]) for letter in ascii_lowercase]


async def embed(texts: list[str]) -> list[list[float]]:
    return [vector(text) for text in texts]


def embed_here(texts: list[str]) -> list[list[float]]:
    """The same without a loop."""
    return [vector(text) for text in texts]


async def too_short(texts: list[str]) -> list[list[float]]:
    """As a model that is not the one the configuration is about."""
    return [[1.0] for _ in texts]
