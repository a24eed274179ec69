"""What DynamoDB charges for requests, by the rules of its documentation, from what went over the wire.

Sizes count names and values; a write takes a unit for each KB begun, twice that in a transaction; a strongly
consistent read one for each 4 KB. An index of keys only is written to when its keys change: once when they
appear or go, twice when they are replaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

INDEX_KEYS = ("due_group", "due_at")
WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096

Item = Mapping[str, Mapping[str, Any]]


def size_bytes(value: Mapping[str, Any]) -> int:
    """Of one attribute's value, as it stands in a request: {"S": "text"}."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return math.ceil(len(content.strip("-").replace(".", "")) / 2) + 1
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + size_bytes(inner) for inner in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + size_bytes(inner) for name, inner in content.items())
        case "SS":
            return sum(len(inner.encode()) for inner in content)
    raise ValueError(f"an attribute of type {kind}")


def item_bytes(item: Item) -> int:
    return sum(len(name.encode()) + size_bytes(value) for name, value in item.items())


@dataclass
class Meter:
    """Adds up the units of a table's requests, in their order; it has to know the rows to know the index."""

    write_units: float = 0.0
    read_units: float = 0.0
    _rows: dict[str, Item] = field(default_factory=dict)

    def count(self, operation: str, body: Any, answer: Any, status_code: int) -> tuple[float, float]:
        """The write and read units of one request, which are added."""
        writes, reads = self._units(operation, body, answer or {}, failed=status_code != 200)
        self.write_units += writes
        self.read_units += reads
        return writes, reads

    def _units(self, operation: str, body: Any, answer: Any, *, failed: bool) -> tuple[float, float]:
        match operation:
            case "GetItem":
                return 0.0, _read_units([answer.get("Item", {})])
            case "BatchGetItem":
                found = [item for items in answer.get("Responses", {}).values() for item in items]
                asked = sum(len(keys["Keys"]) for keys in body["RequestItems"].values())
                return 0.0, _read_units(found) + max(asked - len(found), 0)
            case "Query":
                # Of an index, eventually consistent.
                whole = sum(item_bytes(item) for item in answer.get("Items", []))
                return 0.0, max(math.ceil(whole / READ_UNIT_BYTES), 1) / 2
            case "PutItem":
                return self._write(body["Item"]["pk"]["S"], body["Item"], failed=failed), 0.0
            case "UpdateItem":
                pk = body["Key"]["pk"]["S"]
                return self._write(
                    pk, answer.get("Attributes") or self._updated(pk, body), failed=failed
                ), 0.0
            case "TransactWriteItems":
                return sum(self._transacted(write, failed=failed) for write in body["TransactItems"]), 0.0
        raise ValueError(f"no rule for {operation}")

    def _transacted(self, write: Any, *, failed: bool) -> float:
        ((kind, request),) = write.items()
        if kind == "Put":
            pk, item = request["Item"]["pk"]["S"], request["Item"]
        else:
            pk = request["Key"]["pk"]["S"]
            item = self._updated(pk, request)
        return self._write(pk, item, failed=failed, times=2)

    def _updated(self, pk: str, request: Any) -> Item:
        """A row after an update that does not answer with it: what it was, and what was set."""
        values = request.get("ExpressionAttributeValues", {})
        return {"pk": {"S": pk}, **self._rows.get(pk, {}), **values}

    def _write(self, pk: str, item: Item, *, failed: bool, times: int = 1) -> float:
        before = self._rows.get(pk, {})
        largest = max(item_bytes(item if not failed else before), item_bytes(before))
        units = times * max(math.ceil(largest / WRITE_UNIT_BYTES), 1)
        if failed:
            return units
        self._rows[pk] = item
        old, new = _index_entry(before), _index_entry(item)
        return units + (0 if old == new else (old is not None) + (new is not None))


def _index_entry(item: Item) -> tuple[str, ...] | None:
    if not all(name in item for name in INDEX_KEYS):
        return None
    return tuple(str(item[name]) for name in INDEX_KEYS)


def _read_units(items: Iterable[Item]) -> float:
    return sum(max(math.ceil(item_bytes(item) / READ_UNIT_BYTES), 1) for item in items)
