from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from packshot_cli.emulator.faults import RULES, Faults

RESET = {"kind": "reset"}


def faults(*rules: dict[str, Any]) -> Faults:
    return Faults(RULES.validate_python(list(rules)))


def struck(of: Faults, calls: int, seed: int = 0, **call: Any) -> list[int]:
    """Which of so many status calls were struck, from 1."""
    return [n for n in range(1, calls + 1) if of.strike("status", random_seed=seed, **call) is not None]


def test_a_rule_without_a_condition_strikes_each_time() -> None:
    assert struck(faults({"call": "status", "effect": RESET}), 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"nth": 2}, [2]),
        ({"every": 3}, [3, 6, 9]),
        ({"times": 2}, [1, 2]),
        ({"every": 2, "times": 2}, [2, 4]),
        ({"probability": 0}, []),
        ({"probability": 1}, list(range(1, 11))),
        ({"request_id": "other"}, []),
    ],
)
def test_conditions(condition: dict[str, Any], expected: list[int]) -> None:
    assert struck(faults({"call": "status", "effect": RESET, **condition}), 10, request_id="this") == expected


def test_chance_is_as_often_as_told_and_repeats_with_the_seed() -> None:
    rule = {"call": "status", "effect": RESET, "probability": 0.3}
    first = struck(faults(rule), 2000, seed=1)
    assert 500 < len(first) < 700
    assert struck(faults(rule), 2000, seed=1) == first
    assert struck(faults(rule), 2000, seed=2) != first


def test_two_rules_of_the_same_chance_do_not_strike_together() -> None:
    rule = {"call": "status", "effect": RESET, "probability": 0.5}
    both = faults(rule, {**rule, "effect": {"kind": "slow", "seconds": 1}})
    kinds = {effect and effect.kind for effect in (both.strike("status", random_seed=0) for _ in range(50))}
    assert kinds == {None, "reset", "slow"}


def test_other_calls_are_neither_struck_nor_seen() -> None:
    rules = faults({"call": "submit", "effect": RESET, "nth": 1})
    assert rules.strike("status", random_seed=0) is None
    assert rules.strike("submit", random_seed=0) is not None


def test_the_first_rule_that_strikes_decides_and_each_counts_what_it_sees() -> None:
    rules = faults(
        {"call": "status", "effect": RESET, "nth": 2},
        {"call": "status", "effect": {"kind": "answer", "status": 503}, "every": 2},
    )
    effects = [rules.strike("status", random_seed=0) for _ in range(4)]
    assert [effect and effect.kind for effect in effects] == [None, "reset", None, "answer"]
    assert [(rule["seen"], rule["struck"]) for rule in rules.report()] == [(4, 1), (4, 1)]


def test_work_is_struck_by_its_prompt() -> None:
    rules = faults({"call": "work", "prompt_contains": "sofa", "effect": {"kind": "failed"}})
    assert rules.strike("work", random_seed=0, prompt="a chair") is None
    assert rules.strike("work", random_seed=0, prompt="a sofa") is not None


def test_a_report_gives_rules_as_they_were_written() -> None:
    rule = {"call": "submit", "effect": {"kind": "answer", "status": 418, "json": {"error": "tea"}}}
    assert faults(rule).report() == [{**rule, "seen": 0, "struck": 0}]


@pytest.mark.parametrize(
    "rule",
    [
        {"call": "nothing", "effect": RESET},
        {"call": "submit", "effect": {"kind": "nothing"}},
        {"call": "submit"},
        {"call": "submit", "effect": RESET, "nth": 0},
        {"call": "submit", "effect": RESET, "probability": 1.5},
        {"call": "submit", "effect": RESET, "unknown": 1},
        {"call": "submit", "effect": RESET, "request_id": "x"},
        {"call": "status", "effect": RESET, "prompt_contains": "x"},
        {"call": "status", "effect": {"kind": "lost"}},
        {"call": "submit", "effect": {"kind": "failed"}},
        {"call": "work", "effect": RESET},
        {"call": "result", "effect": {"kind": "wrong_file", "content": "html"}},
        {"call": "file", "effect": {"kind": "truncated", "keep": 1}},
        {"call": "file", "effect": {"kind": "answer", "status": 500, "json": {}, "html": "x"}},
        {"call": "file", "effect": {"kind": "answer", "status": 99}},
        {"call": "file", "effect": {"kind": "answer", "status": 304}},
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RULES.validate_python([rule])
