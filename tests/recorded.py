"""A local cloud whose functions' requests are seen: each has to be in the table of grants."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.designs import Design, write_template
from benchmarks.proxy import aws_proxy
from packshot_cli.local_cloud import free_port, local_cloud
from tests.grants import add_to_table, read_table, used
from tests.shop import Shop


@contextmanager
def recorded_cloud(*, parameters: Mapping[str, str] | None = None, **how: Any) -> Iterator[Shop]:
    """A shop beside a local cloud whose functions find AWS behind a proxy; `how` is local_cloud's.

    What they asked for has to be in the table of grants in the end. With RECORD_GRANTS in the environment
    (`make grants`) it is added to that.
    """
    port = free_port(None)
    stack = Design("recorded", "A stack that is watched", parameters=parameters or {})
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
        seen = used(proxy.seen(), buckets)
    if os.environ.get("RECORD_GRANTS"):
        add_to_table(seen)
    assert seen <= read_table()
