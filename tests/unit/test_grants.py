"""Granted is used: what the template allows a function is what it was seen to ask for, and no more."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from benchmarks.proxy import GUEST, described
from tests.drill.statements import FAILS_WITHOUT, to_try
from tests.grants import (
    UNSEEN,
    Grant,
    granted,
    named_statements,
    read_table,
    table_of,
    used,
    without_statement,
)
from tests.unit.test_template import FUNCTIONS, TEMPLATE

DOCS = Path(__file__).resolve().parents[2] / "docs"
GRANTED = granted(FUNCTIONS)


def test_nothing_that_is_used_is_missing() -> None:
    assert read_table() <= GRANTED


def test_nothing_that_is_granted_is_unused() -> None:
    unseen = GRANTED - read_table()
    assert {grant for grant in unseen if grant.action not in UNSEEN} == set()


def test_the_table_of_the_docs_is_that_of_the_template() -> None:
    assert table_of(GRANTED) in (DOCS / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("method", "path", "action", "resource"),
    [
        ("GET", "/photos-1/a.jpg?versionId=v1", "s3:GetObjectVersion", "InputBucket/*"),
        ("HEAD", "/photos-1/a.jpg", "s3:GetObject", "InputBucket/*"),
        ("GET", "/images-1?versioning", "s3:GetBucketVersioning", "OutputBucket"),
        ("PUT", "/images-1/a/default.webp", "s3:PutObject", "OutputBucket/*"),
    ],
)
def test_a_request_to_s3_is_an_action_on_a_bucket(method: str, path: str, action: str, resource: str) -> None:
    agent = {"User-Agent": "Botocore/1 app/SubmitFunction"}
    seen = described(method, path, agent, b"", 200, b"")
    buckets = {"photos-1": "InputBucket", "images-1": "OutputBucket"}
    assert used([seen], buckets) == {Grant("SubmitFunction", action, resource)}


def test_what_a_guest_fetches_is_nobodys_grant() -> None:
    seen = described("GET", "/photos-1/a.jpg?X-Amz-Signature=x", {}, b"", 200, b"")
    assert seen.function == GUEST
    assert used([seen], {}) == set()


def test_the_drill_takes_every_statement_away_that_something_is_missing_without() -> None:
    assert set(FAILS_WITHOUT) == to_try(named_statements(TEMPLATE))


@pytest.mark.parametrize("name", FAILS_WITHOUT)
def test_a_statement_that_is_taken_away_is_gone_and_no_other(name: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    without_statement(template, name)
    assert set(named_statements(TEMPLATE)) - set(named_statements(template)) == {name}


def test_a_statement_that_there_is_not_cannot_be_taken_away() -> None:
    with pytest.raises(ValueError, match=r"SubmitFunction\.RuleTheWorld"):
        without_statement(copy.deepcopy(TEMPLATE), "SubmitFunction.RuleTheWorld")
