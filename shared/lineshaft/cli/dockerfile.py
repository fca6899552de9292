"""`lineshaft dockerfile`: an image with the graphs of a langgraph.json, on top of the one of deploy/Dockerfile."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

import lineshaft
from lineshaft.config import langgraph_json
from lineshaft.errors import ConfigError

_PYTHON = "3.13"  # as deploy/Dockerfile has it
_OLDEST = (3, 11)
# Where the user's folder lies in the image, and what must not get there.
_APP = "/app"
_IGNORED = (".git", ".venv", ".lineshaft", "**/.env", "**/.env.*", "**/__pycache__")
_PINS = "/opt/lineshaft/constraints.txt"
_OWNER = "10001:10001"  # of deploy/Dockerfile


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--config", type=click.Path(path_type=Path), help="langgraph.json; else the one here.")
@click.option("--base", help="Image with Lineshaft in it.  [default: lineshaft:VERSION-pyPYTHON]")
def dockerfile(file: Path | None, config: Path | None, base: str | None) -> None:
    """Write a Dockerfile for your graphs to FILE, with a FILE.dockerignore; without FILE print it.

    It is built in the folder of langgraph.json: docker build -f FILE -t NAME:TAG .
    """
    loaded = langgraph_json.load(config, with_env=False)
    document = json.loads(loaded.file.read_text("utf-8-sig"))
    text = render(loaded, document, base)
    if file is None:
        click.echo(text, nl=False)
        return
    file.write_text(text)
    secrets = [env] if isinstance(env := document.get("env"), str) else []
    file.with_name(f"{file.name}.dockerignore").write_text("\n".join([*_IGNORED, *secrets]) + "\n")
    click.echo(f"docker build -f {shlex.quote(str(file))} -t NAME:TAG {shlex.quote(str(loaded.root))}")


def render(config: langgraph_json.Config, document: dict[str, Any], base: str | None = None) -> str:
    """The Dockerfile's text. Raises ConfigError for what cannot be built."""
    lines = [
        "# syntax=docker/dockerfile:1",
        f"# Made from {config.file.name} by `lineshaft dockerfile`.",
        f"FROM {base or _base(config, document)}",
        "USER 0",
    ]
    extra = document.get("dockerfile_lines", [])
    if not isinstance(extra, list) or not all(isinstance(line, str) for line in extra):
        raise ConfigError(f'{config.file}: "dockerfile_lines" must be a list of strings')
    lines += extra
    # Not --chown: what runs here must not be able to change its own code.
    lines += [f"WORKDIR {_APP}", "COPY . ."]
    if config.file.name != langgraph_json.NAME:
        lines.append(f'COPY ["{config.file.name}", "{langgraph_json.NAME}"]')  # where both parts look for it
    commands = []
    if isinstance(document.get("env"), str):
        # A server does not start without the file that langgraph.json names; its secrets stay out of the image.
        lines.append("# Values come from the container's environment.")
        commands.append(f"touch {shlex.quote(document['env'])}")
    commands += _installs(config, document)
    if commands:
        lines += ["# hadolint ignore=DL3013,DL3042", "RUN " + " \\\n    && ".join(commands)]
    lines += [f"USER {_OWNER}", 'CMD ["worker"]']
    return "\n".join(lines) + "\n"


def _base(config: langgraph_json.Config, document: dict[str, Any]) -> str:
    python = str(document.get("python_version", _PYTHON))
    try:
        version = tuple(int(part) for part in python.split("."))
    except ValueError:
        version = ()
    if len(version) != 2 or version < _OLDEST:
        raise ConfigError(f'{config.file}: "python_version": expected 3.11 or newer, got {python!r}')
    return f"lineshaft:{lineshaft.__version__}-py{python}"


def _installs(config: langgraph_json.Config, document: dict[str, Any]) -> list[str]:
    wanted: list[str] = []
    for entry in document.get("dependencies", []):
        folder = Path(config.root, entry).resolve()
        if not folder.is_dir():
            wanted.append(shlex.quote(entry))
            continue
        if not folder.is_relative_to(config.root.resolve()):
            raise ConfigError(
                f"{config.file}: dependency {entry!r} lies outside of {config.root}, which is what is built"
            )
        place = folder.relative_to(config.root.resolve()).as_posix()
        if (folder / "pyproject.toml").exists() or (folder / "setup.py").exists():
            wanted.append(f"-e {shlex.quote(place if place == '.' else './' + place)}")
        elif (folder / "requirements.txt").exists():
            wanted.append(f"-r {shlex.quote((Path(place) / 'requirements.txt').as_posix())}")
    if not wanted:
        return []
    # What the server was built with stays as it is: what contradicts them fails here, not in production.
    arguments = f"-c {_PINS} {' '.join(wanted)}"
    if document.get("pip_installer") == "uv":
        # pip_config_file is pip's alone.
        return [
            "pip install --no-cache-dir uv",
            f"uv pip install --no-cache --python /opt/lineshaft/bin/python {arguments}",
        ]
    pip_config = document.get("pip_config_file")
    variable = f"PIP_CONFIG_FILE={shlex.quote(f'{_APP}/{pip_config}')} " if pip_config else ""
    return [f"{variable}pip install --no-cache-dir --disable-pip-version-check {arguments}"]
