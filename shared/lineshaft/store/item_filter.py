"""What the filter of a search in the long-term store means."""

import operator
from typing import Any

from lineshaft.errors import BadRequest

_ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_OPERATORS = ("$eq", "$ne", *_ORDER)


def check_operators(matching: dict[str, Any] | None) -> None:
    """Raises BadRequest for an operator that does not exist, also where no item would ever meet it."""
    names = list(matching or ())
    if any(name.startswith("$") for name in names) and (unknown := [name for name in names if name not in _OPERATORS]):
        raise BadRequest(f"Unsupported operator: {unknown[0]}")
    for wanted in (matching or {}).values():
        if isinstance(wanted, dict):
            check_operators(wanted)


def matches(value: Any, matching: dict[str, Any]) -> bool:
    """Whether an object has all that `matching` names: equal, by operators, and nested objects by containment."""
    return isinstance(value, dict) and all(_compare(value.get(key), wanted) for key, wanted in matching.items())


def _compare(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        if any(key.startswith("$") for key in wanted):
            return all(_operate(value, name, operand) for name, operand in wanted.items())
        return matches(value, wanted)
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_compare(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _operate(value: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return bool(value == operand)
    if name == "$ne":
        return bool(value != operand)
    try:
        left, right = float(value), float(operand)
    except (TypeError, ValueError, OverflowError):
        return False  # an item without the field, or with what has no order as a number (a graph may store any integer)
    return bool(_ORDER[name](left, right))
