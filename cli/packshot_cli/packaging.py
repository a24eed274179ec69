"""A template with local folders, made ready for CreateStack: what it names is zipped and named in S3 instead.

Its like, `aws cloudformation package`, comes only with the AWS CLI, which pins another botocore.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from packshot_cli.errors import LocalCloudError

LOCAL_PATHS = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


@dataclass(frozen=True)
class Package:
    """A template without local paths, and the objects it names instead, by key."""

    template: dict[str, Any]
    objects: dict[str, bytes]

    @property
    def template_body(self) -> bytes:
        # str: YAML reads an unquoted policy version as a date.
        return json.dumps(self.template, default=str).encode()


def package(template_file: Path, bucket: str) -> Package:
    """Package a SAM template for `bucket`. Raises LocalCloudError for a missing file.

    A state machine's definition becomes JSON: CloudFormation reads both, MiniStack 1.5 only that.
    """
    if not template_file.is_file():
        raise LocalCloudError(
            f"There is no {template_file}: run packshot from a source checkout (make setup)"
        )
    template = yaml_parse(template_file.read_text())
    objects: dict[str, bytes] = {}
    for logical_id, resource in template["Resources"].items():
        name = LOCAL_PATHS.get(resource["Type"])
        properties = resource.get("Properties", {})
        if not name or not isinstance(properties.get(name), str):
            continue
        path = template_file.parent / properties[name]
        if path.is_dir():
            key, body = f"{logical_id}.zip", zipped(path)
        elif path.is_file():
            key, body = f"{logical_id}.json", json.dumps(yaml.safe_load(path.read_text())).encode()
        else:
            raise LocalCloudError(f"{logical_id}: {name} names {path}, which is not there")
        objects[key] = body
        properties[name] = f"s3://{bucket}/{key}"
    return Package(template, objects)


def zipped(folder: Path) -> bytes:
    """A folder as a zip file, without Python's caches."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()
