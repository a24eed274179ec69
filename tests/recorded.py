"""A local cloud for tests, searched for leaks at its end; what its functions ask AWS for is seen on wish."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.designs import Design, write_template
from benchmarks.proxy import aws_proxy
from packshot_cli.local_cloud import free_port, local_cloud
from tests.grants import add_to_table, used, without_statement
from tests.leaks import leaks, written
from tests.shop import Shop


@contextmanager
def recorded_cloud(*, parameters: Mapping[str, str] | None = None, **how: Any) -> Iterator[Shop]:
    """A shop beside a local cloud; `how` is local_cloud's. Nothing that it wrote may hold a secret.

    With WITHOUT_STATEMENT in the environment (`make drill-grants`) that statement is taken out of the
    template. With RECORD_GRANTS (`make grants`) what its functions ask AWS for is added to the table.
    """
    design = Design("recorded", "A stack that is watched", parameters=parameters or {})
    with _cloud(design, how) as shop:
        yield shop
        told = (("an event", json.dumps(event)) for event in shop.seen)
        assert leaks(chain(written(shop.cloud), told), shop.cloud.api_key) == set()


@contextmanager
def _cloud(design: Design, how: Mapping[str, Any]) -> Iterator[Shop]:
    if statement := os.environ.get("WITHOUT_STATEMENT"):
        with _less_allowed_cloud(design, how, statement) as shop:
            yield shop
    elif os.environ.get("RECORD_GRANTS"):
        with _watched_cloud(design, how) as shop:
            yield shop
    else:
        with local_cloud(parameters=design.parameters, **how) as cloud:
            yield Shop(cloud, aws_url=cloud.endpoint_url)


@contextmanager
def _less_allowed_cloud(design: Design, how: Mapping[str, Any], statement: str) -> Iterator[Shop]:
    with tempfile.TemporaryDirectory() as folder:
        file = write_template(design, Path(folder))
        template = json.loads(file.read_text(encoding="utf-8"))
        without_statement(template, statement)
        file.write_text(json.dumps(template), encoding="utf-8")
        with local_cloud(parameters=design.parameters, template_file=file, **how) as cloud:
            yield Shop(cloud, aws_url=cloud.endpoint_url)


@contextmanager
def _watched_cloud(design: Design, how: Mapping[str, Any]) -> Iterator[Shop]:
    """Its functions find AWS behind a proxy.

    The proxy lives in this process, where other tests that run meanwhile may open no socket: `make grants`
    runs the integration tests alone.
    """
    port = free_port(None)
    with (
        tempfile.TemporaryDirectory() as folder,
        aws_proxy(port) as proxy,
        local_cloud(
            port=port,
            parameters=design.parameters,
            template_file=write_template(design, Path(folder)),
            handlers_endpoint_url=proxy.url,
            **how,
        ) as cloud,
    ):
        yield Shop(cloud, aws_url=proxy.url)
        buckets = {cloud.outputs[f"{name}Name"]: name for name in ("InputBucket", "OutputBucket")}
        add_to_table(used(proxy.seen(), buckets))
