"""What GitHub runs: this project's own targets, with pinned actions, and no key of AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def workflow(file: Path) -> dict[str, Any]:
    # BaseLoader: to YAML 1.1 the key `on` is a truth.
    found: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return found


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(file)["jobs"].values():
        yield from job["steps"]


@every_file
def test_every_action_is_of_one_release(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@v\d+\.\d+\.\d+", action)] == []


@every_file
def test_every_target_that_is_made_is_there(file: Path) -> None:
    made = re.findall(r"\bmake ([a-z-]+)", "\n".join(step.get("run", "") for step in steps(file)))
    assert made
    assert set(made) <= TARGETS


@every_file
def test_no_key_is_kept_and_none_is_left_behind(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "AWS_SECRET_ACCESS_KEY" not in text
    checkouts = [step for step in steps(file) if "actions/checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] == "false" for step in checkouts)


def test_only_the_deployment_gets_a_token_and_changes_aws() -> None:
    for file in FILES:
        may = workflow(file)["permissions"]
        assert may == ({"contents": "read"} | ({"id-token": "write"} if file.name == "deploy.yml" else {}))


def test_every_stage_that_can_be_deployed_is_in_samconfig() -> None:
    deploy = workflow(ROOT / ".github/workflows/deploy.yml")
    stages = deploy["on"]["workflow_dispatch"]["inputs"]["stage"]["options"]
    config = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
    assert [stage for stage in stages if f"[{stage}.deploy.parameters]" not in config] == []
