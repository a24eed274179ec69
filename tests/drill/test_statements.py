"""Each statement of the policies is taken out in turn, and the test that needs it has to fail.

`make drill-grants` runs it, after the same tests with all statements, which have to pass in that time too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drill.statements import COMES_BACK, FAILS_WITHOUT

ROOT = Path(__file__).resolve().parents[2]
# For the start of a cloud and one test; a photo that nothing is wrong with takes a few seconds.
PATIENCE_SECONDS = {COMES_BACK: 150}
USUAL_PATIENCE_SECONDS = 40
TESTS_FAILED = 1


def run(test: str, without: str = "") -> subprocess.CompletedProcess[str]:
    patience_seconds = PATIENCE_SECONDS.get(test, USUAL_PATIENCE_SECONDS)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", f"--timeout={patience_seconds}", test],
        cwd=ROOT,
        env={**os.environ, "WITHOUT_STATEMENT": without},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("test", sorted(set(FAILS_WITHOUT.values())))
def test_with_all_statements_it_passes_in_time(test: str) -> None:
    done = run(test)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("statement", FAILS_WITHOUT)
def test_without_a_statement_the_test_that_needs_it_fails(statement: str) -> None:
    done = run(FAILS_WITHOUT[statement], without=statement)
    assert done.returncode == TESTS_FAILED, done.stdout
    assert "1 failed" in done.stdout or "1 error" in done.stdout, done.stdout
