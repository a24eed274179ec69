"""The README's commands, in the local cloud: a stack is built, deployed, tried, and updated at work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
import yaml
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from packshot_cli.local_cloud import LOCAL_PARAMETERS, LocalCloud, local_cloud, segmind_parameters
from packshot_cli.packaging import package
from tests.commands import OWNER, aws_environment, packshot_command
from tests.photos import packshot
from tests.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
# As it was last released: what stands in accounts when today's is deployed over it.
RELEASED = Path(__file__).parent / "released"
PROJECT = ("template.yaml", "workflow.asl.yaml", "samconfig.toml", "functions", "layers")
SAM = ROOT / ".venv-sam/bin/sam"
SAM_WITHIN_SECONDS = 100
# Of the emulator, while an update comes: longer than that takes.
SLOW_SECONDS = 20.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds, after `sam build`; with a layer for this machine, which the local cloud runs on."""
    folder = tmp_path_factory.mktemp("project")
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    # CloudFormation reads YAML too, MiniStack 1.5 only JSON, which YAML holds.
    workflow = folder / "workflow.asl.yaml"
    workflow.write_text(json.dumps(yaml.safe_load(workflow.read_text(encoding="utf-8"))), encoding="utf-8")
    sam(folder, {"HOST_LAYER": "1", "PYTHON": sys.executable}, "build")
    return folder


@pytest.fixture(scope="module")
def cloud(project: Path) -> Iterator[LocalCloud]:
    """A local cloud with a stack of the last release in it."""
    for file in RELEASED.iterdir():
        shutil.copy(file, project / f"released-{file.name}")
    template = project / "released-template.yaml"
    text = template.read_text(encoding="utf-8").replace("workflow.asl.yaml", "released-workflow.asl.yaml")
    template.write_text(text, encoding="utf-8")
    assert package(template, "bucket").objects["Workflow.json"]
    with local_cloud(template_file=template, wait_scale=0.05, emulator_seconds=1.0) as cloud:
        yield cloud


def sam(folder: Path, environment: Mapping[str, str], *arguments: str, answers: str = "") -> str:
    """Run one command of the SAM CLI to its end; what it said."""
    # It leaves a folder behind for each file that it uploads.
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [SAM, *arguments],
        cwd=folder,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", "TMPDIR": str(temporary), **environment},
        input=answers,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SAM_WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def answers(folder: Path, region: str, stack_name: str, given: Mapping[str, str]) -> str:
    """What is typed at the questions of `sam deploy --guided`, in their order; nothing takes its offer."""
    parameters = yaml_parse((folder / "template.yaml").read_text(encoding="utf-8"))["Parameters"]
    # Confirm changes? may SAM make roles? keep what fails? save the answers? where? under which name?
    last = ["n", "", "", "", "", ""]
    return "".join(
        f"{answer}\n" for answer in [stack_name, region, *(given.get(name, "") for name in parameters), *last]
    )


def outputs(cloud: LocalCloud, stack_name: str) -> dict[str, str]:
    (stack,) = owner(cloud, "cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def owner(cloud: LocalCloud, service: str) -> Any:
    session = boto3.Session(*OWNER, region_name=cloud.region)
    return session.client(service, endpoint_url=cloud.endpoint_url)  # type: ignore[call-overload]


def test_a_guided_deployment_makes_a_stack_that_takes_a_photo_to_its_image(
    project: Path, cloud: LocalCloud
) -> None:
    given = {**LOCAL_PARAMETERS, **segmind_parameters(cloud.segmind_url)}
    typed = answers(project, cloud.region, "shop", given)
    said = sam(project, aws_environment(cloud), "deploy", "--guided", answers=typed)
    assert "Successfully created/updated stack - shop" in said
    # It remembers: the next deployment asks nothing.
    assert 'stack_name = "shop"' in (project / "samconfig.toml").read_text(encoding="utf-8")

    found = outputs(cloud, "shop")
    secret = {"SecretId": found["ApiKeySecretArn"], "SecretString": cloud.api_key}
    owner(cloud, "secretsmanager").put_secret_value(**secret)
    done = packshot_command(cloud, "smoke", "--stack", "shop", "--yes")
    assert done.returncode == 0, done.stderr
    assert "upload to event, s" in done.stdout


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_each_environment_of_the_configuration_can_be_deployed(
    project: Path, cloud: LocalCloud, environment: str
) -> None:
    sam(project, aws_environment(cloud), "deploy", "--config-env", environment, "--no-confirm-changeset")
    assert outputs(cloud, f"packshot-{environment}")["EventBusName"] == f"packshot-{environment}"


def test_an_update_from_the_last_release_loses_no_job_and_pays_for_none_again(
    project: Path, cloud: LocalCloud
) -> None:
    admin = f"{cloud.segmind_url}/_emulator"
    paid_before = requests.get(f"{admin}/counts", timeout=10).json()["accepted"]
    requests.patch(f"{admin}/settings", json={"seconds": SLOW_SECONDS}, timeout=10).raise_for_status()
    shop = Shop(cloud, aws_url=cloud.endpoint_url)
    before = [f"update/before-{number}.jpg" for number in range(3)]
    for key in before:
        shop.upload(key, packshot(colour="maroon"))
    under_way = [shop.job_in_state(key, "SUBMITTED") for key in before]
    deploy = ("deploy", "--stack-name", "packshot", "--no-confirm-changeset")
    said = sam(project, aws_environment(cloud), *deploy)
    assert "Successfully created/updated stack - packshot" in said
    assert outputs(cloud, "packshot")["JobTableName"] == cloud.outputs["JobTableName"]
    assert {shop.row(job_id)["state"] for job_id in under_way} == {"SUBMITTED"}
    requests.patch(f"{admin}/settings", json={"seconds": 1.0}, timeout=10).raise_for_status()
    after = [f"update/after-{number}.jpg" for number in range(3)]
    for key in after:
        shop.upload(key, packshot(colour="teal"))

    jobs = [shop.event(key, "Scene Generated")["job_id"] for key in before + after]
    assert jobs[: len(before)] == under_way
    paid = requests.get(f"{admin}/counts", timeout=10).json()["accepted"] - paid_before
    assert paid == len(set(jobs)) == len(before + after)
    for job_id in jobs:
        row = shop.row(job_id)
        assert (row["state"], row["attempt"]) == ("COMPLETED", 1)
    assert shop.dead_letters() == 0
