"""One list of versions: pyproject.toml, requirements.lock, environment.yml and the set-up tools agree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
PYTHONS = ("3.11", "3.12", "3.13")
LOCKED_EXTRAS = ("dev", "play", "listen", "validation", "browser")


def entries() -> dict[str, tuple[Version, Marker | None, int]]:
    """Return version, marker and number of hashes of each package in the lock."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", LOCK.partition("\n")[2].strip()):
        if entry.startswith("#"):
            continue
        requirement = Requirement(entry.partition("\\")[0].strip())
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        found[canonicalize_name(requirement.name)] = (
            Version(pin.version),
            requirement.marker,
            len(re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)),
        )
    return found


def wanted() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(text) for text in PROJECT["dependencies"] + [r for e in LOCKED_EXTRAS for r in extras[e]]]


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_the_lock_meets_every_requirement(requirement):
    version, marker, _ = entries()[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert marker is None, "a direct requirement is needed everywhere"


def test_every_locked_file_has_its_hash():
    found = entries()
    assert len(found) > 100
    assert [name for name, (_, _, hashes) in found.items() if not hashes] == []


def test_the_lock_names_no_address_host_or_path():
    own = re.sub(r"^# .*\n|^#    see docs/development.md\n", "", LOCK, flags=re.MULTILINE)
    assert re.findall(r"https?:|file:|@ |/|--index|--extra|--find|--trusted|\+cpu|\+cu", own) == []


def test_one_version_for_all_pythons():
    names = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", LOCK, re.MULTILINE)
    assert len(names) == len(set(names))


def test_the_conda_environment_takes_its_versions_from_the_lock_alone():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert pip == ["-r requirements.lock"]
    assert [Requirement(item).name for item in conda] == ["python", "pip"]
    assert Requirement(conda[0]).specifier == SpecifierSet(PROJECT["requires-python"])


def test_python_range():
    supported = SpecifierSet(PROJECT["requires-python"])
    assert [v for v in ("3.10", *PYTHONS, "3.14") if Version(v) in supported] == list(PYTHONS)


def test_uv_lock_stays_out_of_git():
    listed = subprocess.run(["git", "check-ignore", "uv.lock"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.stdout.strip() == "uv.lock"


def test_hooks_need_no_network():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {repo["repo"] for repo in hooks} == {"local"}
    assert {hook["language"] for repo in hooks for hook in repo["hooks"]} == {"system"}
