"""The arithmetic of the benchmark, and that its page says what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bill import FunctionUse, Use, bill, read_prices, total_usd
from benchmarks.capacity import Item, Meter, item_bytes
from benchmarks.designs import DESIGNS, overlaid, write_template
from benchmarks.page import page
from benchmarks.plot import Point, pareto_front
from benchmarks.proxy import described
from benchmarks.results import RESULTS, Results, claims
from benchmarks.runs import spread
from packshot_cli.packaging import package

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def results() -> Results:
    return RESULTS.validate_json((DOCS / "benchmarks.json").read_bytes())


def test_the_page_is_what_was_measured(results: Results) -> None:
    assert (DOCS / "benchmarks.md").read_text() == page(results)


def test_what_was_measured_holds_what_is_promised(results: Results) -> None:
    assert [claim for claim in claims(results) if not claim.holds] == []


def test_the_picture_shows_every_design() -> None:
    picture = (DOCS / "benchmarks.svg").read_text()
    for design in DESIGNS:
        assert design.title in picture


# -- the bill --


def test_a_bill_is_of_a_thousand_images() -> None:
    use = Use(
        images=10,
        functions={"SubmitFunction": FunctionUse(invocations=10, seconds=10.0, gb_seconds=5.0)},
        state_entries=40,
        write_units=20,
        s3_puts=20,
    )
    usd = {line.name: line.usd for line in bill(use, read_prices()) if line.usd}
    assert usd == pytest.approx(
        {
            "Step Functions": 4000 * 0.000025,
            "SubmitFunction": 500 * 0.0000133334,
            "Lambda invocations": 1000 * 0.0000002,
            "DynamoDB writes": 2000 * 0.000000625,
            "S3 writes": 2000 * 0.000005,
        }
    )
    assert total_usd(bill(use, read_prices())) == pytest.approx(sum(usd.values()))


JOB = {"pk": {"S": "job#1"}, "due_group": {"S": "turn"}, "due_at": {"S": "2026"}}
REST = {"pk": {"S": "job#1"}, "due_group": {"S": "turn"}}


def put(item: dict[str, Any]) -> tuple[str, Any, Any]:
    return "PutItem", {"Item": item}, {}


def update(item: dict[str, Any]) -> tuple[str, Any, Any]:
    return "UpdateItem", {"Key": {"pk": item["pk"]}}, {"Attributes": item}


@pytest.mark.parametrize(
    ("requests", "write_units"),
    [
        ([put(REST)], 1),
        ([put(JOB)], 2),
        ([put(JOB), update(JOB)], 3),
        ([put(JOB), update({**JOB, "due_at": {"S": "2027"}})], 5),
        ([put(JOB), update(REST)], 4),
        ([put({**REST, "long": {"S": "x" * 1024}})], 2),
        ([("TransactWriteItems", {"TransactItems": [{"Put": {"Item": REST}}] * 2}, {})], 4),
    ],
)
def test_a_write_takes_its_units_and_those_of_the_index(
    requests: list[tuple[str, Any, Any]], write_units: float
) -> None:
    meter = Meter()
    for operation, body, answer in requests:
        meter.count(operation, body, answer, 200)
    assert (meter.write_units, meter.read_units) == (write_units, 0)


def test_a_write_that_is_refused_costs_its_units_too() -> None:
    meter = Meter()
    meter.count(*put(JOB), 200)
    assert meter.count(*put({**JOB, "due_at": {"S": "2027"}}), 400) == (1, 0)


@pytest.mark.parametrize(
    ("operation", "body", "answer", "read_units"),
    [
        ("GetItem", {}, {"Item": JOB}, 1),
        ("GetItem", {}, {}, 1),
        ("GetItem", {}, {"Item": {"long": {"S": "x" * 5000}}}, 2),
        ("BatchGetItem", {"RequestItems": {"jobs": {"Keys": [1, 2, 3]}}}, {"Responses": {"jobs": [JOB]}}, 3),
        ("Query", {}, {"Items": []}, 0.5),
    ],
)
def test_a_read_takes_its_units(operation: str, body: Any, answer: Any, read_units: float) -> None:
    assert Meter().count(operation, body, answer, 200) == (0, read_units)


def test_a_request_without_a_rule_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="PartiQL"):
        Meter().count("PartiQL", {}, {}, 200)


def test_the_size_of_an_item_is_that_of_its_names_and_values() -> None:
    item: Item = {
        "pk": {"S": "héllo"},
        "n": {"N": "-123.5"},
        "b": {"BOOL": True},
        "m": {"M": {"a": {"NULL": True}}},
        "l": {"L": [{"S": "ab"}]},
        "s": {"SS": ["a", "bc"]},
    }
    assert item_bytes(item) == (2 + 6) + (1 + 3) + (1 + 1) + (1 + 3 + 1 + 1 + 1) + (1 + 3 + 1 + 2) + (1 + 3)


# -- the proxy --


def test_requests_are_told_apart() -> None:
    agent = {"User-Agent": "Boto3/1 app/SubmitFunction"}
    target = {**agent, "X-Amz-Target": "DynamoDB_20120810.GetItem"}
    asked = described("POST", "/", target, b'{"Key": 1}', 200, b"{}")
    assert (asked.name, asked.function, asked.body) == ("DynamoDB:GetItem", "SubmitFunction", {"Key": 1})
    put_object = described("PUT", "/images/a%20b/c.webp", agent, b"image", 200, b"")
    assert (put_object.name, put_object.key) == ("S3:PutObject", "a b/c.webp")
    fetched = described("GET", "/photos/a.jpg?X-Amz-Signature=secret", {}, b"", 200, b"photo")
    assert (fetched.name, fetched.function, fetched.answer_bytes) == ("S3:GetObject", "Segmind", 5)
    assert "secret" not in repr(fetched)


# -- designs, spread and front --


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_every_design_is_a_whole_template(design: Any, tmp_path: Path) -> None:
    packaged = package(write_template(design, tmp_path), "bucket")
    assert "SubmitFunction.zip" in packaged.objects


def test_the_textbook_loop_has_our_submit_and_our_finalize(tmp_path: Path) -> None:
    ours, textbook = (
        package(write_template(design, tmp_path), "bucket") for design in (DESIGNS[0], DESIGNS[2])
    )
    different = {key for key, body in ours.objects.items() if textbook.objects[key] != body}
    assert different == {"CheckStatusFunction.zip", "Workflow.json"}


def test_an_overlay_changes_what_it_names() -> None:
    assert overlaid({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "d": None}) == {"a": {"b": 4, "c": 2}}


def test_the_95th_percentile_is_a_value_that_was_seen() -> None:
    assert spread([float(value) for value in range(1, 101)]).p95 == 95.0


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 5)), min_size=1, max_size=9))
def test_nothing_beats_what_is_on_the_front(pairs: list[tuple[float, float]]) -> None:
    points = [Point("", *pair) for pair in pairs]
    front = pareto_front(points)

    def beats(one: Point, other: Point) -> bool:
        no_worse = one.usd <= other.usd and one.delay_seconds <= other.delay_seconds
        return no_worse and (one.usd, one.delay_seconds) != (other.usd, other.delay_seconds)

    for point in points:
        assert any(beats(one, point) for one in points) is all(
            (one.usd, one.delay_seconds) != (point.usd, point.delay_seconds) for one in front
        )


def test_no_figure_of_the_readme_is_of_another_run(results: Results) -> None:
    words = (DOCS.parent / "README.md").read_text()
    told = re.search(r"\$(?P<usd>[\d.]+) of AWS for 1,000 images", words)
    assert told
    assert told["usd"] == f"{results.usd('packshot'):.2f}"
