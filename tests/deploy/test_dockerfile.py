"""`lineshaft dockerfile`: what langgraph.json says of an image becomes an image."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lineshaft.cli import main

PROJECT = Path(__file__).parent / "project"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def write(folder: Path, name: str = "langgraph.json", **document: Any) -> Path:
    file = folder / name
    file.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, **document}))
    return file


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["dockerfile", *map(str, args)])


def lines(config: Path, *args: str) -> list[str]:
    result = call("--config", config, *args)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_a_project_with_everything() -> None:
    """Its `.env` is not there, as in a clone: an image gets its values elsewhere, and starts all the same."""
    pip = "PIP_CONFIG_FILE=/app/pip.conf pip install --no-cache-dir --disable-pip-version-check"
    assert lines(PROJECT / "langgraph.json")[2:] == [
        "FROM lineshaft:0.1.0-py3.12",
        "USER 0",
        "ENV TZ=UTC",
        "WORKDIR /app",
        "COPY . .",
        "# Values come from the container's environment.",
        "# hadolint ignore=DL3013,DL3042",
        "RUN touch .env \\",
        f"    && {pip} -c /opt/lineshaft/constraints.txt -r requirements.txt -e ./packages/tools 'tenacity>=8'",
        "USER 10001:10001",
        'CMD ["worker"]',
    ]


def test_graphs_alone_need_nothing_installed(project: Path) -> None:
    config = write(project, dependencies=["."])
    assert lines(config)[-4:] == ["WORKDIR /app", "COPY . .", "USER 10001:10001", 'CMD ["worker"]']


def test_a_package_is_installed_where_it_lies(project: Path) -> None:
    """Not copied: the server puts the folder on the path itself, and two copies would be two modules."""
    (project / "setup.py").touch()
    assert any(line.endswith(" -e .") for line in lines(write(project, dependencies=["."])))


def test_a_configuration_of_another_name_is_found_in_the_image(project: Path) -> None:
    assert 'COPY ["agents.json", "langgraph.json"]' in lines(write(project, "agents.json"))


def test_uv_installs_what_is_to_be_installed_by_uv(project: Path) -> None:
    text = "\n".join(lines(write(project, dependencies=["tenacity"], pip_installer="uv")))
    assert "uv pip install --no-cache --python /opt/lineshaft/bin/python -c" in text


def test_the_base_may_be_another(project: Path) -> None:
    assert "FROM registry.example.com/lineshaft:1" in lines(
        write(project), "--base", "registry.example.com/lineshaft:1"
    )


def test_secrets_stay_out_of_what_is_sent_to_the_builder(project: Path) -> None:
    config = write(project, env="secrets.txt")
    result = call("--config", config, project / "Dockerfile")
    assert result.output == f"docker build -f {project / 'Dockerfile'} -t NAME:TAG {project}\n"
    assert (project / "Dockerfile").read_text().startswith("# syntax=docker/dockerfile:1\n")
    ignored = (project / "Dockerfile.dockerignore").read_text().splitlines()
    assert {"secrets.txt", "**/.env", ".git"} <= set(ignored)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"python_version": "3.10"}, "expected 3.11 or newer, got '3.10'"),
        ({"python_version": "newest"}, "expected 3.11 or newer, got 'newest'"),
        ({"dockerfile_lines": "RUN true"}, '"dockerfile_lines" must be a list of strings'),
        ({"dependencies": [".."]}, "dependency '..' lies outside of"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(project: Path, document: dict[str, Any], why: str) -> None:
    result = call("--config", write(project, **document))
    assert result.exit_code == 1
    assert why in result.output
    assert len(result.output.splitlines()) == 1
