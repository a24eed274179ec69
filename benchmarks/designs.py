"""The designs that are measured side by side: the template, with what each of them does differently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from packshot_cli.local_cloud import TEMPLATE_FILE
from packshot_cli.packaging import LOCAL_PATHS

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Design:
    """One way to do the work: what its template changes in ours, and the stack's parameters."""

    name: str
    title: str
    overlay: Path | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


PACKSHOT = Design("packshot", "Packshot, plan scale", parameters={"SegmindPlan": "scale"})
FLEXIBLE = Design("packshot-flexible", "Packshot, plan flexible", parameters={"SegmindPlan": "flexible"})
TEXTBOOK = Design(
    "textbook",
    "Textbook loop: Wait 5, check, Choice",
    FOLDER / "textbook/overlay.yaml",
    {"SegmindPlan": "scale"},
)
BLOCKING_SDK = Design(
    "blocking-sdk",
    "Blocking Lambda with the SDK's run",
    FOLDER / "blocking_sdk/overlay.yaml",
    {"SegmindPlan": "scale"},
)
# What a burst is measured with.
BURST_RATE = 120
BURST = Design(
    "burst",
    f"Packshot, {BURST_RATE} requests a minute",
    parameters={"SegmindPlan": "custom", "RequestsAMinute": str(BURST_RATE), "PollsCount": "false"},
)
DESIGNS = (PACKSHOT, FLEXIBLE, TEXTBOOK, BLOCKING_SDK)


def write_template(design: Design, folder: Path) -> Path:
    """The whole template of a design, as a file in `folder` that local_cloud can deploy."""
    template = _read(TEMPLATE_FILE)
    if design.overlay:
        template = overlaid(template, _read(design.overlay))
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            variables = resource["Properties"].setdefault("Environment", {}).setdefault("Variables", {})
            # So that each request tells whose it is (proxy.described).
            variables["AWS_SDK_UA_APP_ID"] = logical_id
    file = folder / f"{design.name}.json"
    # str: YAML reads an unquoted policy version as a date.
    file.write_text(json.dumps(template, default=str))
    return file


def overlaid(template: Any, overlay: Any) -> Any:
    """A template with what an overlay says in its place; null takes something away."""
    if not isinstance(template, Mapping) or not isinstance(overlay, Mapping):
        return overlay
    merged = {**template}
    for name, value in overlay.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = overlaid(template.get(name), value)
    return merged


def _read(file: Path) -> Any:
    """A template with the paths in it made absolute."""
    template = yaml_parse(file.read_text())
    for resource in template["Resources"].values():
        for name in LOCAL_PATHS.values():
            path = ((resource or {}).get("Properties") or {}).get(name)
            if isinstance(path, str):
                resource["Properties"][name] = str(file.parent / path)
    return template
