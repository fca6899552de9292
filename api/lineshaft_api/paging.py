"""How a page of a list is answered: the rows, and headers that say where the next page begins."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta

from lineshaft.search import Page

from .operation import Reply

T = TypeVar("T")
Limit = Annotated[int, Meta(ge=1, le=1000, description="The most rows to answer with.")]
# At most what every part of the way keeps as an exact integer; no list is as long.
Offset = Annotated[int, Meta(ge=0, le=2**31, description="Rows to skip.")]


def paged(found: Page[T], select: Sequence[str] = ()) -> Reply[list[T]]:
    """The answer to a search; with `select` its rows have only these fields, as far as they have them."""
    headers = {"X-Pagination-Total": str(found.total)}
    if found.next is not None:
        headers["X-Pagination-Next"] = str(found.next)
    rows: list[Any] = found.rows
    if select:
        names = dict.fromkeys(select)  # a list may name a field any number of times
        rows = [{name: value for name in names if (value := getattr(row, name)) is not UNSET} for row in rows]
    return Reply(rows, headers)
