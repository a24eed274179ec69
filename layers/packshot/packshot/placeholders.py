"""Placeholders: `{name}` in a text stands for what the name means; a brace that is meant is written twice."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from string import Formatter

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SHOWN_CHARACTERS = 40
_ALLOWED = "{name} of lower-case letters, digits and _; a brace that is meant is written twice, {{ or }}"


class PlaceholderError(ValueError):
    """A text whose braces make no placeholders; the message says what is allowed."""

    def __init__(self, found: str) -> None:
        super().__init__(_ALLOWED)
        self.found = found


class UnknownPlaceholderError(Exception):
    """A text names what nobody defined."""

    def __init__(self, unknown: list[str], known: list[str]) -> None:
        super().__init__(f"{in_braces(unknown)}; known are {in_braces(known)}")
        self.unknown = in_braces(unknown)
        self.known = in_braces(known)


def in_braces(names: list[str]) -> str:
    """The names as one would write them in a text."""
    return ", ".join(f"{{{name}}}" for name in names)


def names_in(text: str) -> list[str]:
    """The names of a text's placeholders, in their order. Raises PlaceholderError where braces are wrong."""
    return [name for _, name in _pieces(text) if name is not None]


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with what its placeholders stand for; braces in a value are only characters.

    Raises PlaceholderError and UnknownPlaceholderError.
    """
    unknown = [name for name in dict.fromkeys(names_in(text)) if name not in values]
    if unknown:
        raise UnknownPlaceholderError(unknown, sorted(values))
    return "".join(literal + (values[name] if name else "") for literal, name in _pieces(text))


def _pieces(text: str) -> list[tuple[str, str | None]]:
    try:
        pieces = list(Formatter().parse(text))
    except ValueError:
        raise PlaceholderError("a brace on its own, { or }") from None
    for _, name, form, conversion in pieces:
        if name is not None and (form or conversion or not _NAME.fullmatch(name)):
            written = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise PlaceholderError(json.dumps(f"{{{written[:_SHOWN_CHARACTERS]}}}"))
    return [(literal, name) for literal, name, _, _ in pieces]
