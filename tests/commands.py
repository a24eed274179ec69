"""`packshot` commands as a person runs them on a deployed stack: in a process, with AWS's own environment."""

from __future__ import annotations

import os
import subprocess
import sys

from packshot_cli.local_cloud import LocalCloud

# Whoever owns the account: a stack's operator may do less.
OWNER = ("test", "test")


def aws_environment(cloud: LocalCloud, credentials: tuple[str, str] = OWNER) -> dict[str, str]:
    """What makes an SDK or a CLI of AWS find this cloud, and nothing of the caller's."""
    access_key_id, secret_access_key = credentials
    return {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_DEFAULT_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret_access_key,
    }


def packshot_command(
    cloud: LocalCloud, *arguments: str, credentials: tuple[str, str] = OWNER, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one to its end, without a terminal."""
    process = started_command(cloud, *arguments, credentials=credentials, **environment)
    with process:
        try:
            stdout, stderr = process.communicate(timeout=100)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def started_command(
    cloud: LocalCloud, *arguments: str, credentials: tuple[str, str] = OWNER, **environment: str
) -> subprocess.Popen[str]:
    """Start one without a terminal, for whoever wants to do something to it while it runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "packshot_cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **aws_environment(cloud, credentials),
            **environment,
        },
    )
