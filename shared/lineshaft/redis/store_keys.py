"""Names of the keys in Redis that hold the long-term store: a part of `keys.py`."""


class StoreKeys:
    """A part of `Keys`."""

    prefix: str

    def store_namespaces(self) -> str:
        """ZSET, score 0, of store namespaces (labels joined by \\0)."""
        return f"{self.prefix}ls:store:namespaces"

    def store_items(self, namespace: str) -> str:
        """HASH item key -> document, of one namespace."""
        return f"{self.prefix}ls:store:items:{namespace}"

    def store_order(self, namespace: str) -> str:
        """ZSET item key -> created_at in us, of one namespace: the order in which a search walks it."""
        return f"{self.prefix}ls:store:order:{namespace}"

    def store_expiry(self) -> str:
        """ZSET `<namespace>\\0\\0<key>` -> expiry in ms."""
        return f"{self.prefix}ls:store:expiry"

    def store_vectors(self, namespace: str) -> str:
        """HASH item key -> vectors (`vectors.py`) of the items of one namespace that are found by meaning."""
        return f"{self.prefix}ls:store:vectors:{namespace}"
