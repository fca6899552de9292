"""Finding items by meaning: the user's embeddings, of `store.index` in langgraph.json."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base.embed import ensure_embeddings, get_text_at_path

from lineshaft.config import modules
from lineshaft.config.langgraph_json import Config
from lineshaft.config.store import IndexConfig
from lineshaft.errors import ConfigError, Invalid
from lineshaft.store.vectors import VectorFormat

MAX_TEXTS = 100  # of one item, each with a vector: a list of more is better stored as so many items


class Index:
    """Turns texts into vectors."""

    def __init__(self, embeddings: Embeddings, config: IndexConfig) -> None:
        self._embeddings = embeddings
        self._fields = config.fields
        self._format = VectorFormat(config)

    async def vectors_of(self, values: Sequence[tuple[dict[str, Any], list[str] | None]]) -> list[bytes]:
        """Packed vectors of values, each by the paths given with it or by the configured ones; all in one call.

        Raises what the embeddings raise; Invalid for too many texts, ValueError for vectors that do not fit.
        """
        texts = [
            [text for path in (self._fields if paths is None else paths) for text in get_text_at_path(value, path)]
            for value, paths in values
        ]
        if (most := max(map(len, texts), default=0)) > MAX_TEXTS:
            raise Invalid(f"An item has {most} texts to be found by (limit: {MAX_TEXTS})")
        distinct = list(dict.fromkeys(text for of_one in texts for text in of_one))
        vectors = await self._embeddings.aembed_documents(distinct) if distinct else []
        vector_of = dict(zip(distinct, vectors, strict=True))
        return [self._format.pack([vector_of[text] for text in of_one]) for of_one in texts]

    async def scorer(self, query: str) -> Callable[[bytes], float | None]:
        """A function that says how near packed vectors are to a text. Raises as `vectors_of`."""
        vector = list(self._format.normal(await self._embeddings.aembed_query(query)))
        return lambda packed: self._format.compare(vector, packed)


def load_index(config: Config, wanted: IndexConfig | None) -> Index | None:
    """The index of a configuration, if it has one. Raises ConfigError.

    Call it where no event loop runs, as `Graphs.load`.
    """
    if wanted is None:
        return None
    try:
        return Index(ensure_embeddings(_embed(config, wanted.embed)), wanted)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever user code raises is for its author to read
        failure = modules.Failure(error, config.dependencies)
        raise ConfigError(f"store.index: embed {wanted.embed!r} does not load: {failure.text}") from None


def _embed(config: Config, embed: str) -> Any:
    place, colon, attribute = embed.rpartition(":")
    if not colon or not place or not attribute:
        raise ValueError('expected "path.py:attribute", "package.module:attribute" or "provider:model"')
    if place.endswith(".py"):
        file = Path(config.root, place).resolve()
        if not file.is_file():
            raise FileNotFoundError(f"{place} does not exist")
        return getattr(modules.load_file(file, config.root.resolve()), attribute)
    if "." in place:
        return getattr(importlib.import_module(place), attribute)
    return embed  # langchain knows providers by name, if it is installed
