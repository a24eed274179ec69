"""Whether one JSON Schema only tells more than another did: what it allows, the other allows too.

Events are made here and read elsewhere. So whoever was made for an older schema has to be at home with every
event of a newer one: nothing that was there may be missing, nothing may be what it could not be. Of the words
of a schema, those that pydantic writes are understood; any other that changes is told as a break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

ANNOTATIONS = {"$defs", "$schema", "default", "description", "examples", "title"}
# Whatever is at most, or at least, as much as before is no wider.
UPPER = {"maximum", "exclusiveMaximum", "maxItems", "maxLength", "maxProperties"}
LOWER = {"minimum", "exclusiveMinimum", "minItems", "minLength", "minProperties"}


def breaks(old: Schema, new: Schema) -> list[str]:
    """What the new schema allows and the old one did not, a line each, with the path of where it is."""
    return list(_Comparison(old, new).breaks("$", old, new))


def closed(schema: Any, path: str = "$") -> Iterator[str]:
    """The paths of objects that may have no further properties."""
    if isinstance(schema, Mapping):
        if schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False:
            yield path
        for name, inner in schema.items():
            yield from closed(inner, f"{path}.{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from closed(inner, f"{path}[]")


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new

    def breaks(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        if "anyOf" in new:
            for choice in new["anyOf"]:
                yield from self.breaks(path, old, {**_without(new, "anyOf"), **_resolved(self._new, choice)})
        elif "anyOf" in old:
            choices = [{**_without(old, "anyOf"), **_resolved(self._old, choice)} for choice in old["anyOf"]]
            if all(list(self.breaks(path, choice, new)) for choice in choices):
                yield f"{path}: may be {_named(new)}"
        else:
            yield from self._breaks_of_one(path, old, new)

    def _breaks_of_one(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        for word in old:
            said, now = old[word], new.get(word)
            if word == "properties":
                for name in said:
                    if now is None or name not in now:
                        yield f"{path}.{name}: is gone"
                    else:
                        yield from self.breaks(f"{path}.{name}", said[name], now[name])
            elif word == "required":
                yield from (f"{path}.{name}: may be missing" for name in said if name not in (now or []))
            elif isinstance(said, Mapping) and isinstance(now, Mapping) and word not in ANNOTATIONS:
                yield from self.breaks(f"{path}.{word}", said, now)
            elif not _is_no_wider(word, old, new):
                yield f"{path}: {word} was {said}, is {now}"


def _is_no_wider(word: str, old: Schema, new: Schema) -> bool:
    """Whether what a word of the old schema forbids is forbidden by the new one too."""
    said, now = old[word], new.get(word)
    if word in ANNOTATIONS:
        return True
    if word == "type":
        return bool(_types(new)) and _types(new) <= _types(old)
    if word in {"const", "enum"}:
        return bool(_values(new)) and all(value in _values(old) for value in _values(new))
    if now is not None and word in UPPER | LOWER:
        return bool(now <= said if word in UPPER else now >= said)
    return bool(now == said)


def _resolved(root: Schema, schema: Schema) -> Schema:
    """A schema with what it refers to in its place."""
    while "$ref" in schema:
        _, _, name = schema["$ref"].rpartition("/")
        schema = {**root["$defs"][name], **_without(schema, "$ref")}
    return schema


def _without(schema: Schema, word: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != word}


def _types(schema: Schema) -> set[str]:
    said = schema.get("type", [])
    types = {said} if isinstance(said, str) else set(said)
    return types | {"integer"} if "number" in types else types


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _named(schema: Schema) -> str:
    return ", ".join(sorted(_types(schema))) or "anything"
