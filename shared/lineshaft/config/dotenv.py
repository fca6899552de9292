"""The `.env` file that langgraph.json may name."""

import re
from pathlib import Path

from lineshaft.errors import ConfigError

# One assignment: quotes may span lines (keys in PEM), a comment may follow the value.
_ASSIGNMENT = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*
    (?: "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>[^']*)' | (?P<bare>[^\r\n]*?) )
    [ \t]*(?:(?<=\s)\#[^\r\n]*|(?<=["'])\#[^\r\n]*)?(?:\r?\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r?\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_dotenv(file: Path) -> dict[str, str]:
    """The variables of a file of `KEY=VALUE` lines. Raises ConfigError with the line that is none."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        found = _ASSIGNMENT.match(text, at)
        if not found:
            raise ConfigError(f"{file}, line {text.count(chr(10), 0, at) + 1}: expected KEY=VALUE")
        at = found.end()
        name, double, single, bare = found.group("name", "double", "single", "bare")
        if double is not None:
            values[name] = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), double, flags=re.DOTALL)
        else:
            values[name] = single if single is not None else bare
    return values
