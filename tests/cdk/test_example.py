"""The CDK example synthesises, and what it synthesises is Packshot's own template in another stack."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cfnlint.decode
import pytest

from packshot_cli.packaging import LOCAL_PATHS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/cdk"
OWN: dict[str, Any] = cfnlint.decode.decode(str(ROOT / "template.yaml"))[0]


@dataclass(frozen=True)
class Synthesised:
    """A folder for `cdk deploy`, and the template of the shop's stack in it."""

    folder: Path
    template: dict[str, Any]


@pytest.fixture(scope="module")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    folder = tmp_path_factory.mktemp("cdk")
    # As it stands in the repository: what `sam build` changes in it is only where code lies.
    context = json.dumps({"template": str(ROOT / "template.yaml")})
    done = subprocess.run(
        [ROOT / ".venv-cdk/bin/python", "app.py"],
        cwd=EXAMPLE,
        env={
            **os.environ,
            "CDK_CONTEXT_JSON": context,
            "CDK_OUTDIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Synthesised(folder, json.loads((folder / "Shop.template.json").read_text(encoding="utf-8")))


def test_every_resource_of_packshot_is_there_as_it_is(synthesised: Synthesised) -> None:
    resources = synthesised.template["Resources"]
    for name, found in OWN["Resources"].items():
        assert resources[name]["Type"] == found["Type"]
        for key in ("Condition", "DeletionPolicy", "UpdateReplacePolicy"):
            assert resources[name].get(key) == found.get(key), f"{name}: {key}"
        assert set(resources[name]["Properties"]) == set(found["Properties"]), name
    assert set(OWN["Rules"]) <= set(synthesised.template["Rules"])
    assert synthesised.template["Transform"] == OWN["Transform"]
    assert synthesised.template["Globals"]["Function"].keys() == OWN["Globals"]["Function"].keys()


def test_code_goes_along_and_no_path_of_this_machine_does(synthesised: Synthesised) -> None:
    assets = json.loads((synthesised.folder / "Shop.assets.json").read_text(encoding="utf-8"))["files"]
    uploaded = {
        place["objectKey"]: synthesised.folder / asset["source"]["path"]
        for asset in assets.values()
        for place in asset["destinations"].values()
    }
    named = [
        found["Properties"][LOCAL_PATHS[found["Type"]]]
        for found in synthesised.template["Resources"].values()
        if found["Type"] in LOCAL_PATHS
    ]
    assert len(named) == 6
    for location in named:
        assert uploaded[location["Key"]].exists()
    assert str(ROOT) not in json.dumps(synthesised.template)


def test_arguments_take_the_places_of_parameters(synthesised: Synthesised) -> None:
    given = {"SegmindPlan": "pro", "OldVersionRetentionDays": "90"}
    assert set(OWN["Parameters"]) - set(synthesised.template["Parameters"]) == set(given)
    (source,) = synthesised.template["Resources"]["SubmitFunction"]["Properties"]["Events"].values()
    concurrency = source["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    assert concurrency == {"Fn::FindInMap": ["Plans", "pro", "SubmitConcurrency"]}


def test_the_shop_hears_of_completed_photos_on_packshots_bus(synthesised: Synthesised) -> None:
    rules = [
        found["Properties"]
        for name, found in synthesised.template["Resources"].items()
        if found["Type"] == "AWS::Events::Rule" and name not in OWN["Resources"]
    ]
    (rule,) = rules
    assert rule["EventBusName"] == OWN["Outputs"]["EventBusName"]["Value"]
    assert rule["EventPattern"] == {"source": ["packshot"], "detail-type": ["Photo Completed"]}


def test_a_linter_finds_no_error_in_it(synthesised: Synthesised) -> None:
    done = subprocess.run(
        [
            ROOT / ".venv/bin/cfn-lint",
            "--ignore-checks",
            "W",
            "--template",
            synthesised.folder / "Shop.template.json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
