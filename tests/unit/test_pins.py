"""The pinned files say exactly what is installed, and from nowhere in particular."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers/packshot/requirements.txt"
LOCAL = ROOT / "requirements/local.txt"
CHECK = ROOT / "requirements/check.txt"
SAM = ROOT / "requirements/sam.txt"
TEXTBOOK = ROOT / "benchmarks/textbook/requirements.txt"
CDK = ROOT / "examples/cdk/requirements.txt"
LOCKS = sorted([LAYER, TEXTBOOK, CDK, *ROOT.glob("requirements/*.txt")])

every_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))


def entries(file: Path) -> list[str]:
    """The requirements and options of a file, one a string: comments off, continued lines joined."""
    text = re.sub(r"(^|\s)#.*", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [entry.strip() for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]


def requirements(file: Path) -> list[Requirement]:
    return [Requirement(entry.split(" --hash")[0]) for entry in entries(file) if not entry.startswith("-")]


def versions(lock: Path) -> dict[str, set[str]]:
    """Each package's versions: more than one where the lock tells Pythons apart."""
    found: dict[str, set[str]] = {}
    for requirement in requirements(lock):
        found.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier)[2:])
    return found


def test_the_files_are_found() -> None:
    assert {LAYER, LOCAL, CHECK, SAM} < set(LOCKS)
    assert all(requirements(lock) for lock in LOCKS)


@every_lock
def test_every_requirement_is_one_exact_version(lock: Path) -> None:
    for requirement in requirements(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), f"{requirement} is not pinned"


@every_lock
def test_no_lock_file_holds_an_address_or_an_option(lock: Path) -> None:
    assert "://" not in lock.read_text(encoding="utf-8")
    assert not [entry for entry in entries(lock) if entry.startswith("-")]
    assert not [requirement for requirement in requirements(lock) if requirement.url]


# pip 23, which comes with Python 3.11, refuses sam.txt with hashes: boto3-stubs appears with extras there.
@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != SAM], ids=lambda lock: str(lock.name))
def test_every_package_has_a_hash(lock: Path) -> None:
    assert not [entry for entry in entries(lock) if "--hash=sha256:" not in entry]


@every_lock
def test_every_lock_file_answers_its_source(lock: Path) -> None:
    """A source edited without `make lock` shows here."""
    pinned = versions(lock)
    for wanted in requirements(lock.with_suffix(".in")):
        pins = pinned.get(canonicalize_name(wanted.name), set())
        assert pins, f"{lock.name} lacks {wanted}"
        for pin in pins:
            assert wanted.specifier.contains(pin, prereleases=True), f"{pin} does not answer {wanted}"


def test_what_runs_in_lambda_is_what_runs_here() -> None:
    local = versions(LOCAL)
    assert {name: local.get(name) for name in versions(LAYER)} == versions(LAYER)


def test_the_layer_is_the_same_whichever_python_builds_it() -> None:
    """pip reads a marker for the Python that it runs in, not for the one that it installs for."""
    assert not [requirement for requirement in requirements(LAYER) if requirement.marker]


def test_the_checks_change_no_version_of_what_they_check() -> None:
    local, check = versions(LOCAL), versions(CHECK)
    assert {name: check[name] for name in local.keys() & check.keys()} == {
        name: local[name] for name in local.keys() & check.keys()
    }


def test_the_project_is_built_with_the_pinned_setuptools() -> None:
    """`make setup` builds the project without isolation, with the setuptools that the environment holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (backend,) = map(Requirement, project["build-system"]["requires"])
    assert str(backend.specifier) == f"=={versions(LOCAL)[backend.name].pop()}"
