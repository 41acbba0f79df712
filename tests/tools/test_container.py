# SPDX-License-Identifier: Apache-2.0
"""Rules of the container, which is not built here: who runs it, what it may write, what it is built from."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click import Group

from pydarknet.cli import cli

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text().replace("\\\n", "")
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_it_is_not_run_by_root() -> None:
    assert "USER=1000:0" in instructions("ARG")
    assert instructions("USER") == ["${USER}"]
    assert DOCKERFILE.index("\nUSER") > max(match.start() for match in re.finditer("\nRUN", DOCKERFILE))


def test_nothing_is_written_but_tmp() -> None:
    variables = dict(part.split("=") for line in instructions("ENV") for part in line.split())
    assert variables["HOME"] == "/tmp"
    assert variables["MPLCONFIGDIR"].startswith("/tmp/")
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert instructions("WORKDIR")[-1] == "/tmp"


def test_signals_reach_the_server() -> None:
    """Commands are lists, and the scripts are replaced by what they start."""
    assert instructions("CMD") == ['["serve"]']
    assert not instructions("ENTRYPOINT")  # SageMaker starts `train` and `serve`
    for name in ("serve", "train"):
        script = FOLDER / "bin" / name
        words = shlex.split(script.read_text().splitlines()[-1])
        assert words == ["exec", "pydarknet", "sagemaker", name, "$@"]
        assert script.stat().st_mode & 0o111
        group = cli.get_command(None, "sagemaker")  # type: ignore[arg-type]
        assert isinstance(group, Group)
        assert name in group.commands


def test_packages_of_the_build_stay_outside() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 3
    assert "g++" in stages[1]
    assert "g++" not in stages[2]
    for command in instructions("RUN"):
        assert "apt-get install" not in command or "rm -rf /var/lib/apt/lists/*" in command
        assert "pip " not in command or "--no-cache-dir" in command
    assert not instructions("ADD")


def test_what_it_is_built_from_exists_and_is_all_of_it() -> None:
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    taken = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in taken)
    project = (ROOT / "pyproject.toml").read_text() + (ROOT / "CMakeLists.txt").read_text()
    named = re.findall(r"(?:add_subdirectory\(|readme = \")([\w.]+)", project)
    assert named
    assert set(named) - {"tests"} <= set(taken)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].endswith(":0")
    assert service["tmpfs"] == ["/tmp"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not service.get("privileged")
    is_cuda = name.endswith("-cuda")
    assert (service["image"] == "pydarknet:cuda") is is_cuda
    assert ("deploy" in service) is is_cuda


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_of_a_service_exists(name: str) -> None:
    words = SERVICES[name]["command"]
    if words[0] == "pydarknet":
        command = cli.get_command(None, words[1])  # type: ignore[arg-type]
        assert command is not None
        with command.make_context(words[1], words[2:]) as context:
            assert context.params["http"] == "0.0.0.0:8080"
    else:
        assert (FOLDER / "bin" / words[0]).is_file()
