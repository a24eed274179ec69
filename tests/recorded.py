"""A local cloud for tests, and what its functions ask AWS for, when that is to be recorded."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.designs import Design, write_template
from benchmarks.proxy import aws_proxy
from packshot_cli.local_cloud import free_port, local_cloud
from tests.grants import add_to_table, used, without_statement
from tests.shop import Shop


@contextmanager
def recorded_cloud(*, parameters: Mapping[str, str] | None = None, **how: Any) -> Iterator[Shop]:
    """A shop beside a local cloud; `how` is local_cloud's.

    With RECORD_GRANTS in the environment (`make grants`) its functions find AWS behind a proxy, and what they
    ask for is added to the table of grants. Only then: the proxy lives in this process, where other tests
    that run meanwhile may open no socket. With WITHOUT_STATEMENT (`make drill-grants`) that statement is
    taken out of the template.
    """
    stack = Design("recorded", "A stack that is watched", parameters=parameters or {})
    if named := os.environ.get("WITHOUT_STATEMENT"):
        with tempfile.TemporaryDirectory() as folder:
            file = write_template(stack, Path(folder))
            template = json.loads(file.read_text(encoding="utf-8"))
            without_statement(template, named)
            file.write_text(json.dumps(template), encoding="utf-8")
            with local_cloud(parameters=parameters, template_file=file, **how) as cloud:
                yield Shop(cloud, aws_url=cloud.endpoint_url)
        return
    if not os.environ.get("RECORD_GRANTS"):
        with local_cloud(parameters=parameters, **how) as cloud:
            yield Shop(cloud, aws_url=cloud.endpoint_url)
        return
    port = free_port(None)
    with (
        tempfile.TemporaryDirectory() as folder,
        aws_proxy(port) as proxy,
        local_cloud(
            port=port,
            parameters=stack.parameters,
            template_file=write_template(stack, Path(folder)),
            handlers_endpoint_url=proxy.url,
            **how,
        ) as cloud,
    ):
        yield Shop(cloud, aws_url=proxy.url)
        buckets = {cloud.outputs[f"{name}Name"]: name for name in ("InputBucket", "OutputBucket")}
        add_to_table(used(proxy.seen(), buckets))
