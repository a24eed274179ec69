"""Faults by rule: which call, when, and what goes wrong.

[{"call": "submit", "nth": 1, "effect": {"kind": "lost"}},
 {"call": "status", "probability": 0.1, "effect": {"kind": "answer", "status": 502, "html": "<h1>Bad</h1>"}}]
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Call = Literal["submit", "status", "result", "file", "credits", "history", "v1"]


class _Effect(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(_Effect):
    """Another answer instead of the real one; the call does nothing. Without a body: `{"error": …}`."""

    kind: Literal["answer"]
    status: Annotated[int, Field(ge=200, le=599)]
    json_body: Annotated[Any, Field(alias="json")] = None
    html: str | None = None
    headers: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.json_body is not None and self.html is not None:
            raise ValueError("json or html, not both")
        if self.status in (204, 304):
            raise ValueError(f"an answer with a body cannot be {self.status}")
        return self


class Reset(_Effect):
    """The connection is reset before the call does anything."""

    kind: Literal["reset"]


class Lost(_Effect):
    """The call does its work (the request is taken, and will be charged), then the connection is reset."""

    kind: Literal["lost"]


class Slow(_Effect):
    """The answer is made at once and held back; for `work`, the job takes so much longer."""

    kind: Literal["slow"]
    seconds: Annotated[float, Field(gt=0)]


class Truncated(_Effect):
    """A part of the body: with the whole one's Content-Length and a broken connection, or with its own."""

    kind: Literal["truncated"]
    keep: Annotated[float, Field(ge=0, lt=1, description="The share that arrives.")] = 0.5
    declare_whole: bool = True


class WrongFile(_Effect):
    """A file that is not the image: a page, a text, nothing, or the picture in another format.

    The other format comes under the name and the type of the one that was asked for. `content_type`
    replaces the type in every case.
    """

    kind: Literal["wrong_file"]
    content: Literal["html", "text", "empty", "other_format"]
    content_type: str | None = None


class Failed(_Effect):
    """For `work`: the job ends FAILED when it is due. For `status` and `result`: that answer says FAILED,
    whatever the job does; so a COMPLETED status is followed by a FAILED result."""

    kind: Literal["failed"]
    message: str = "Inference failed"


Effect = Annotated[Answer | Reset | Lost | Slow | Truncated | WrongFile | Failed, Field(discriminator="kind")]

_POSSIBLE: dict[str, tuple[type[_Effect], ...]] = {
    "submit": (Answer, Reset, Lost, Slow, Truncated),
    "v1": (Answer, Reset, Lost, Slow, Truncated),
    "status": (Answer, Reset, Slow, Truncated, Failed),
    "result": (Answer, Reset, Slow, Truncated, Failed),
    "file": (Answer, Reset, Slow, Truncated, WrongFile),
    "credits": (Answer, Reset, Slow, Truncated),
    "history": (Answer, Reset, Slow, Truncated),
    "work": (Slow, Failed),
}


class Rule(BaseModel):
    """A fault and its conditions, which must all hold.

    A rule sees the calls of its kind (and of its `request_id`, and its prompt), and `nth` and `every` count
    those. Without a condition it strikes each time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    call: Annotated[Call | Literal["work"], Field(description="`work`: the job itself, when it starts.")]
    effect: Effect
    nth: Annotated[int | None, Field(ge=1, description="Only the nth that it sees.")] = None
    every: Annotated[int | None, Field(ge=1, description="Every nth that it sees.")] = None
    probability: Annotated[float | None, Field(ge=0, le=1, description="From the settings' seed.")] = None
    times: Annotated[int | None, Field(ge=1, description="At most so often.")] = None
    request_id: Annotated[str | None, Field(description="Only this request: not known to a submit.")] = None
    prompt_contains: Annotated[str | None, Field(description="`work` only.")] = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not isinstance(self.effect, _POSSIBLE[self.call]):
            raise ValueError(f"{self.effect.kind} cannot happen to {self.call}")
        if self.prompt_contains is not None and self.call != "work":
            raise ValueError(f"{self.call} knows no prompt: prompt_contains goes with work")
        if self.request_id is not None and self.call in ("submit", "v1", "credits"):
            raise ValueError(f"{self.call} knows no request_id")
        return self


RULES = TypeAdapter(list[Rule])


@dataclass
class _Counted:
    rule: Rule
    seen: int = 0
    struck: int = 0


class Faults:
    """The rules in force. The first that strikes decides; every rule counts what it sees."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.replace(rules)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put other rules in force, with their counts at zero."""
        self._counted = [_Counted(rule) for rule in rules]

    def strike(
        self,
        call: Call | Literal["work"],
        *,
        random_seed: int,
        request_id: str | None = None,
        prompt: str = "",
    ) -> Effect | None:
        """What befalls this call, if anything; counts it."""
        striking = None
        for number, counted in enumerate(self._counted):
            if not _is_seen(counted.rule, call, request_id, prompt):
                continue
            counted.seen += 1
            if striking is None and _strikes(counted, f"{random_seed}/{number}/{counted.seen}"):
                striking = counted
        if striking is None:
            return None
        striking.struck += 1
        return striking.rule.effect

    def report(self) -> list[dict[str, Any]]:
        """The rules as they were given, each with what it has seen and struck."""
        return [
            counted.rule.model_dump(mode="json", by_alias=True, exclude_unset=True)
            | {"seen": counted.seen, "struck": counted.struck}
            for counted in self._counted
        ]


def _is_seen(rule: Rule, call: str, request_id: str | None, prompt: str) -> bool:
    return (
        rule.call == call
        and rule.request_id in (None, request_id)
        and (rule.prompt_contains is None or rule.prompt_contains in prompt)
    )


def _strikes(counted: _Counted, chance_seed: str) -> bool:
    rule = counted.rule
    return (
        (rule.nth is None or counted.seen == rule.nth)
        and (rule.every is None or counted.seen % rule.every == 0)
        and (rule.times is None or counted.struck < rule.times)
        and (rule.probability is None or random.Random(chance_seed).random() < rule.probability)  # noqa: S311
    )
