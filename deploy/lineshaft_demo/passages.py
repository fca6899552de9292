"""Passages: the sentences of a text, and how much each says about the whole. What `digest` scores and chooses from."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from math import log2, sqrt

# A sentence longer than this is cut: text without punctuation must not become one endless passage.
MAX_LENGTH = 400
# Below this a passage is a fragment (a caption, a "See below."), never a sentence that can stand for the text.
MIN_WORDS = 4
# What a passage that does not end like a sentence counts for: mostly an item of a list of names.
NOT_A_SENTENCE = 0.5
# The words that decide what a text is about. More of them change no ranking, and every scoring task carries them.
KEY_WORDS = 200

_FENCE = re.compile(r"```|~~~")
_NOT_PROSE = re.compile(r"#{1,6} |\||[-=*_]{3,}$|\[[^\[\]]+\]: ")  # Markdown headings, tables, rules and link targets
_ITEM = re.compile(r"^(?:[-*+>]|\d{1,3}[.)])\s+")  # the mark before a list item or a quotation
_IMAGE = re.compile(r"!\[[^\[\]]*\]\([^()]*\)")
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()]*\)")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
# A full stop before a space ends a sentence unless a small letter follows; those of Chinese and Japanese need no space.
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.) (?=[^a-z])|(?<=[\u3002\uff01\uff1f])")
_SENTENCE = re.compile(r"[.!?:\u3002\uff01\uff1f][^\w\s]*$")
_WORD = re.compile(r"[^\W\d_]{3,}")
_cut = textwrap.TextWrapper(MAX_LENGTH).wrap
_STOP_WORDS = frozenset(
    """
    about after all also and any are because been before being but can could did does each for from get had has have her
    here his how into its just like made many may more most must not now one only other our out over own same she should
    some such than that the their them then there these they this those through too two under until use used uses using
    very was way were what when where which while who why will with without would you your
    """.split()  # noqa: SIM905 - a hundred words read better without quotes
)


def passages_of(text: str) -> list[str]:
    """The sentences of a plain or Markdown text, in order; code, headings, tables and pictures are left out."""
    return [
        passage
        for paragraph in _paragraphs(text)
        for sentence in _SENTENCE_END.split(_plain(paragraph))
        for passage in _cut(sentence)
    ]


def weigh(passages: list[str]) -> dict[str, float]:
    """The key words of a text with their weights: the more passages use a word, the more the text is about it."""
    counts = Counter(word for passage in passages for word in words(passage))
    return {word: log2(1 + count) for word, count in counts.most_common(KEY_WORDS)}


def score(passage: str, position: int, weights: dict[str, float]) -> float:
    """How much a passage says about the text; a long one must earn its place, an early one often names the subject."""
    found = words(passage)
    if len(found) < MIN_WORDS:
        return 0.0
    content = sum(weights.get(word, 0.0) for word in found) / sqrt(len(passage))
    return content * (1 + 1 / (1 + position)) * (1 if _SENTENCE.search(passage) else NOT_A_SENTENCE)


def alike(one: str, other: str) -> bool:
    """Whether two passages say much the same: half of the words of the shorter are in the other."""
    a, b = words(one), words(other)
    return len(a & b) * 2 > min(len(a), len(b))


def words(passage: str) -> set[str]:
    """The words of a passage that carry meaning."""
    return set(_WORD.findall(passage.casefold())) - _STOP_WORDS


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs and list items of a text, each on one line."""
    lines: list[str] = []
    fenced = False
    for line in map(str.strip, text.splitlines()):
        if _FENCE.match(line):
            fenced = not fenced
            continue
        prose = bool(line) and not fenced and not _NOT_PROSE.match(line)
        if not prose or _ITEM.match(line):
            if lines:
                yield " ".join(lines)
            lines = []
        if prose:
            lines.append(_ITEM.sub("", line, count=1))
    yield " ".join(lines)


def _plain(paragraph: str) -> str:
    """A paragraph without pictures, tags and link targets, its words separated by single spaces."""
    text = _TAG.sub("", _LINK.sub(r"\1", _IMAGE.sub("", paragraph)))
    return " ".join(text.split())
