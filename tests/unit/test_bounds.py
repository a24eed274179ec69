"""The table "Everything has an end" is what holds: each line is in the code, and each end has a line."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cfnlint.decode
import pytest
import yaml

import packshot

ROOT = Path(__file__).parents[2]
TITLE = "## Everything has an end\n"
UNITS = {
    "": 1,
    "s": 1,
    "min": 60,
    "day": 24 * 60 * 60,
    "days": 24 * 60 * 60,
    "bytes": 1,
    "characters": 1,
}


def rows() -> Iterator[tuple[str, str, str]]:
    """The cells of each line: what has an end, its bound, and where that stands."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = page.partition(TITLE)[2].partition("\n## ")[0]
    _head, _line, *lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines:
        what, bound, where = (cell.strip() for cell in line.strip("|").split("|"))
        if (bound, where) == ("", "") and what.startswith("**"):
            continue
        yield what, bound, where


def places(where: str) -> list[str]:
    return re.findall(r"`([^`]+)`", where)


ROWS = list(rows())
PLACES = [place for _, _, where in ROWS for place in places(where)]
FILES: dict[str, Any] = {
    "template.yaml": cfnlint.decode.decode(str(ROOT / "template.yaml"))[0],
    "workflow.asl.yaml": yaml.safe_load((ROOT / "workflow.asl.yaml").read_text(encoding="utf-8")),
}


def standing(place: str) -> float:
    """The number at a place, times in seconds. Raises when there is no such place, or no number."""
    file, colon, path = place.partition(": ")
    if colon:
        found = FILES[file]
        for step in path.split("."):
            found = found[int(step)] if isinstance(found, list) else found[step]
    else:
        module, _, name = place.rpartition(".")
        found = getattr(importlib.import_module(f"packshot.{module}"), name)
    return found.total_seconds() if isinstance(found, timedelta) else float(found)


def bound(place: str) -> float:
    """The number at a place that has a line."""
    assert place in PLACES
    return standing(place)


def function(name: str) -> float:
    return bound(f"template.yaml: Resources.{name}.Properties.Timeout")


# -- the table is what holds --


@pytest.mark.parametrize(("what", "said", "where"), ROWS, ids=[what for what, _, _ in ROWS])
def test_a_line_says_what_stands_in_each_of_its_places(what: str, said: str, where: str) -> None:
    assert places(where), f"{what}: nowhere"
    assert ", ".join(f"`{place}`" for place in places(where)) == where, "nothing but places"
    number, _, unit = said.partition(" ")
    for place in places(where):
        assert standing(place) == float(number) * UNITS[unit]


def test_no_place_has_two_lines() -> None:
    assert sorted(set(PLACES)) == sorted(PLACES)


def of_the_code() -> Iterator[str]:
    """Every time in the package, by its name or its type, and every count of tries."""
    for module in pkgutil.iter_modules(packshot.__path__):
        found = importlib.import_module(f"packshot.{module.name}")
        source = Path(str(found.__file__)).read_text(encoding="utf-8")
        for name in re.findall(r"^_?([A-Z][A-Z_]+)(?:: [^=]+)? = ", source, re.MULTILINE):
            value = getattr(found, name, None)
            tries = isinstance(value, int) and re.search(
                r"ATTEMPTS|FETCHES|SWAPS|REDIRECTS|ACCEPTED|TURNS", name
            )
            if isinstance(value, timedelta) or name.endswith("_SECONDS") or tries:
                yield f"{module.name}.{name}"


def of_the_template() -> Iterator[str]:
    for name in FILES["template.yaml"]["Resources"]:
        for path in (
            "Timeout",
            "VisibilityTimeout",
            "MessageRetentionPeriod",
            "RedrivePolicy.maxReceiveCount",
        ):
            place = f"template.yaml: Resources.{name}.Properties.{path}"
            try:
                standing(place)
            except KeyError:
                continue
            yield place


def of_the_workflow() -> Iterator[str]:
    for name, state in FILES["workflow.asl.yaml"]["States"].items():
        for number, _ in enumerate(state.get("Retry", [])):
            yield f"workflow.asl.yaml: States.{name}.Retry.{number}.MaxAttempts"


@pytest.mark.parametrize("place", [*of_the_code(), *of_the_template(), *of_the_workflow()])
def test_everything_that_has_an_end_has_a_line(place: str) -> None:
    assert place in PLACES


def test_the_lines_are_found_in_more_than_one_way() -> None:
    """Or the tests above would hold of nothing."""
    assert len(list(of_the_code())) > 25
    assert len(list(of_the_template())) > 8
    assert len(list(of_the_workflow())) == 2


# -- one end comes before the other --


def test_a_call_ends_before_its_function_that_before_the_lease_and_that_before_the_message_comes_again() -> (
    None
):
    submit = function("SubmitFunction")
    visibility = bound("template.yaml: Resources.UploadQueue.Properties.VisibilityTimeout")
    assert bound("segmind.SUBMIT_TIMEOUT_SECONDS") < submit < bound("job_table.LEASE") < visibility
    assert visibility >= 6 * submit
    assert bound("template.yaml: Resources.UploadQueue.Properties.RedrivePolicy.maxReceiveCount") >= 5


def test_queues_keep_what_they_have_for_as_long_as_they_can() -> None:
    kept = [bound(place) for place in PLACES if place.endswith(".MessageRetentionPeriod")]
    assert kept == [14 * UNITS["days"]] * 3


def test_looks_and_endings_end_before_their_functions() -> None:
    aws = bound("aws.CONNECT_TIMEOUT_SECONDS") + bound("aws.READ_TIMEOUT_SECONDS")
    result = bound("segmind.READ_TIMEOUT_SECONDS")
    fetch = bound("downloads.TOTAL_TIMEOUT_SECONDS") + bound("downloads.READ_TIMEOUT_SECONDS")
    # The key is read, and the last look begins as late as the window allows.
    assert bound("polling.WINDOW_SECONDS") + result + aws < function("CheckStatusFunction")
    assert result + bound("finalizing.FETCHES") * fetch + 3 * aws < function("FinalizeFunction")
    assert function("FinalizeFunction") <= 15 * UNITS["min"], "the longest that Lambda allows"
    assert function("SweepFunction") < UNITS["min"], "or two sweeps would run at once"


def test_a_job_that_works_is_not_taken_for_one_that_waits() -> None:
    """What the sweep looks at again has had its time, and that of the message before."""
    visibility = bound("template.yaml: Resources.UploadQueue.Properties.VisibilityTimeout")
    for due in ("planning.PLANNED_DUE", "submitting.SUBMITTED_DUE", "job_table.QUEUED_DUE"):
        assert bound(due) > visibility


def test_a_request_is_looked_at_rarely_told_of_and_given_up_in_that_order() -> None:
    slow = bound("polling.SLOW_AFTER_SECONDS")
    late, deadline = (
        bound(f"template.yaml: Parameters.{name}Seconds.Default") for name in ("Late", "Deadline")
    )
    assert (
        bound("polling.FIRST_WAIT_SECONDS") < bound("polling.UNKNOWN_BELIEVED_AFTER") < slow < late < deadline
    )
    quickest, slowest = bound("polling.QUICKEST_CADENCE_SECONDS"), bound("polling.SLOWEST_CADENCE_SECONDS")
    assert quickest < slowest < bound("polling.SLOW_CADENCE_SECONDS")
    hour = 60 * UNITS["min"]
    assert deadline + bound("polling.SLOW_CADENCE_SECONDS") < hour, "Segmind forgets a request after one"
    assert deadline + bound("photo_store.URL_MARGIN") <= hour


def test_a_surely_refused_submit_is_given_up_while_its_message_would_still_be_tried() -> None:
    times = int(bound("submitting.MAX_NOT_ACCEPTED"))
    pauses = sum(bound("submitting.NOT_ACCEPTED_PAUSE") * 2**number for number in range(times - 1))
    assert pauses < 10 * UNITS["min"]


def longest_pauses(state: str) -> float:
    """What Step Functions waits between all tries of a state, in seconds at most."""
    (retry,) = FILES["workflow.asl.yaml"]["States"][state]["Retry"]
    pauses = (
        retry["IntervalSeconds"] * retry["BackoffRate"] ** number for number in range(retry["MaxAttempts"])
    )
    return float(sum(min(pause, retry["MaxDelaySeconds"]) for pause in pauses))


@pytest.mark.parametrize(
    ("state", "name"), [("CheckStatus", "CheckStatusFunction"), ("Finalize", "FinalizeFunction")]
)
def test_a_state_that_fails_each_time_ends_its_execution_within_the_hour(state: str, name: str) -> None:
    """The next one is started at once, for the same request."""
    tries = 1 + bound(f"workflow.asl.yaml: States.{state}.Retry.0.MaxAttempts")
    assert longest_pauses(state) + tries * function(name) < 60 * UNITS["min"]


# -- what is largest fits --

MEBIBYTE = 1024 * 1024
# Python with boto3, Pillow and the application: 70 MB were measured before a first call.
RESTING_BYTES = 128 * MEBIBYTE
# CheckStatusFunction has no Pillow and one client: 69 MB.
WATCHING_BYTES = 96 * MEBIBYTE
# Measured: a progressive JPEG without subsampling of as many pixels as Pillow opens (89,478,485).
LARGEST_JPEG_BYTES = 512 * MEBIBYTE


def memory_bytes(name: str) -> int:
    return int(FILES["template.yaml"]["Resources"][name]["Properties"]["MemorySize"]) * MEBIBYTE


@pytest.mark.parametrize(
    ("name", "parameter"), [("SubmitFunction", "MaxPhotoBytes"), ("FinalizeFunction", "MaxImageBytes")]
)
def test_the_largest_file_that_may_be_chosen_fits_into_the_functions_memory(
    name: str, parameter: str
) -> None:
    largest = int(FILES["template.yaml"]["Parameters"][parameter]["MaxValue"])
    # A photo is read whole, and of an image whatever a JPEG holds beside its pixels.
    assert RESTING_BYTES + largest + LARGEST_JPEG_BYTES < memory_bytes(name)


def test_the_largest_answer_fits_into_the_functions_memory() -> None:
    """Eight times its size where it holds an image, ten times where it does not: tests measure both."""
    largest = bound("segmind.MAX_IMAGE_ANSWER_BYTES")
    assert RESTING_BYTES + 8 * largest < memory_bytes("FinalizeFunction")
    assert WATCHING_BYTES + 10 * bound("segmind.MAX_ANSWER_BYTES") < memory_bytes("CheckStatusFunction")
