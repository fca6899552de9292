"""Arithmetic on an expression from outside: parsed, never evaluated as Python, and bounded in size."""

import ast
import math
import operator
from collections.abc import Callable

# Long enough for any sum a person types, short enough that neither parsing nor computing can take noticeable time.
MAX_CHARACTERS = 200
# About 1,200 digits; a larger power takes long to compute, and Python refuses to print over 4,300 digits.
MAX_BITS = 4_000

Number = int | float

_SIGNS = str.maketrans({"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-", "^": "**"})
_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


class CannotCalculate(Exception):
    """An expression has no result; the text says why and is meant for whoever wrote it."""


def calculate(expression: str) -> Number:
    """The value of numbers joined by `+ - * / // % **` (or `^`, and the signs that people type) and parentheses."""
    if len(expression) > MAX_CHARACTERS:
        raise CannotCalculate(f"the expression is longer than {MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(expression.translate(_SIGNS).strip(), mode="eval")
        return _bounded(_value(tree.body))
    except (SyntaxError, ValueError):  # ValueError: a null character
        raise CannotCalculate(f"{expression!r} is not an arithmetic expression") from None
    except ZeroDivisionError:
        raise CannotCalculate("division by zero") from None
    except OverflowError:
        raise CannotCalculate("a number is too large") from None


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
    raise CannotCalculate(f"{ast.unparse(node)!r} is not a number or one of + - * / // % **")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > 2 * MAX_BITS:
        raise OverflowError
    power = base**exponent
    if isinstance(power, complex):
        raise CannotCalculate("a root of a negative number is not a real number")
    return _bounded(power)


def _bounded(number: Number) -> Number:
    """The number itself, unless it is infinite or longer than anyone wants to read."""
    fits = number.bit_length() <= MAX_BITS if isinstance(number, int) else math.isfinite(number)
    if not fits:
        raise OverflowError
    return number
