"""`lineshaft manifests`: what Kubernetes needs to run an image of yours, as a kustomization that is yours to change."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from msgspec import Struct

import lineshaft
from lineshaft.config import langgraph_json, settings
from lineshaft.errors import ConfigError

from .pools import Pool, read_pools, scalers

# Seconds beyond a worker's grace until it is killed; deploy/kustomize has the same (tests/deploy).
_AFTER_GRACE = 30


class Choices(Struct, frozen=True, kw_only=True):
    """What an installation has of its own."""

    image: str
    namespace: str
    pools: list[Pool]
    grace: int  # seconds that a stopping worker lets its runs go on
    jobs: int  # runs at a time in a worker
    components: list[str]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--image", default=f"lineshaft:{lineshaft.__version__}", show_default=True, help="NAME:TAG, NAME@DIGEST.")
@click.option("--config", type=click.Path(path_type=Path), help="langgraph.json whose queues get a pool each.")
@click.option("--namespace", default="lineshaft", show_default=True)
@click.option(
    "--pool",
    "pools",
    multiple=True,
    metavar="NAME=QUEUES",
    help="Workers and the queues they serve, as interactive=interactive:3,runs:1; may be repeated.",
)
@click.option("--replicas", multiple=True, metavar="NAME=NUMBER", help="Pods of a pool; with --keda the fewest.")
@click.option(
    "--grace",
    default=180,
    show_default=True,
    type=click.IntRange(min=1),
    help="Seconds that a stopping worker lets its runs go on.",
)
@click.option(
    "--jobs-per-worker", "jobs", default=10, show_default=True, type=click.IntRange(min=1), help="Runs at a time."
)
@click.option("--keda", is_flag=True, help="Scale workers by what there is to do; KEDA must be installed.")
@click.option("--prometheus-operator", is_flag=True, help="What the Prometheus operator collects, and the alerts.")
@click.option("--force", is_flag=True, help="Replace a kustomization.yaml that is there.")
def manifests(
    *,
    folder: Path | None,
    image: str,
    config: Path | None,
    namespace: str,
    pools: tuple[str, ...],
    replicas: tuple[str, ...],
    grace: int,
    jobs: int,
    keda: bool,
    prometheus_operator: bool,
    force: bool,
) -> None:
    """Write a kustomization for Kubernetes to FOLDER; without FOLDER print what kubectl makes of it.

    FOLDER/kustomization.yaml is yours to change; FOLDER/lineshaft is replaced when a later version writes there again.
    """
    choices = Choices(
        image=image,
        namespace=namespace,
        pools=read_pools(pools, replicas, _queues(config)),
        grace=grace,
        jobs=jobs,
        components=["keda"] * keda + ["prometheus-operator"] * prometheus_operator,
    )
    if folder is not None:
        if (folder / "kustomization.yaml").exists() and not force:
            raise ConfigError(f"{folder / 'kustomization.yaml'} is there already: --force replaces it")
        _write(folder, choices)
        click.echo(f"kubectl apply -k {folder}")
        return
    with tempfile.TemporaryDirectory() as made:
        _write(Path(made), choices)
        sys.stdout.write(_rendered(Path(made)))


def _queues(config: Path | None) -> list[str]:
    loaded = langgraph_json.load(config, with_env=False)
    return list(settings.from_environment({**loaded.env, **os.environ}).lineshaft_executor.queues)


def source() -> Path:
    """The folder with `kustomize` in it: inside the installed package, or of the checkout."""
    package = Path(lineshaft.__file__).parent
    installed = package / "deployment"
    return installed if installed.is_dir() else package.parents[1] / "deploy"


def _write(folder: Path, choices: Choices) -> None:
    ours = folder / "lineshaft"
    if ours.exists():
        shutil.rmtree(ours)
    kustomize = source() / "kustomize"
    shutil.copytree(kustomize / "base", ours / "base", ignore=shutil.ignore_patterns("queues"))
    for component in choices.components:
        shutil.copytree(kustomize / "components" / component, ours / "components" / component)
    base = ours / "base/kustomization.yaml"
    kept = [line for line in base.read_text().splitlines() if not line.startswith("  - queues/")]
    place = kept.index("  - gateway") + 1
    kept[place:place] = [f"  - queues/{pool.name}" for pool in choices.pools]
    base.write_text("\n".join(kept) + "\n")
    for pool in choices.pools:
        (ours / "base/queues" / pool.name).mkdir(parents=True)
        (ours / "base/queues" / pool.name / "kustomization.yaml").write_text(pool.kustomization())
    if "keda" in choices.components:
        text = scalers(choices.pools, namespace=choices.namespace, jobs=choices.jobs)
        (ours / "components/keda/scaling.yaml").write_text(text)
    if "prometheus-operator" in choices.components:
        shutil.copy(source() / "grafana/lineshaft.json", folder / "dashboard.json")
    (folder / "kustomization.yaml").write_text(_kustomization(choices))


def _kustomization(choices: Choices) -> str:
    components = [f"  - lineshaft/components/{name}" for name in choices.components]
    # With KEDA a Deployment has no number of its own.
    counts = [] if "keda" in choices.components else choices.pools
    replicas = [f"  - {{name: lineshaft-worker-{pool.name}, count: {pool.replicas}}}" for pool in counts]
    return f"""\
# Yours to change. It needs a Secret lineshaft-redis with the key uri (REDIS_URI); what your graphs read from their
# environment, as keys of models, may be in a Secret lineshaft-secrets.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {choices.namespace}
resources: [lineshaft/base]
{_section("components", components)}images:
  - {_image(choices.image)}
{_section("replicas", replicas)}configMapGenerator:
  - name: lineshaft-settings
    behavior: merge
    literals:
      - N_JOBS_PER_WORKER={choices.jobs}
      - BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS={choices.grace}
patches:
  - target: {{kind: Deployment, labelSelector: app.kubernetes.io/component=worker}}
    patch: |-
      - op: replace  # BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS, and {_AFTER_GRACE} to hand back what has not ended by then
        path: /spec/template/spec/terminationGracePeriodSeconds
        value: {choices.grace + _AFTER_GRACE}
"""


def _section(key: str, lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in [f"{key}:", *lines]) if lines else ""


def _image(image: str) -> str:
    name, at, digest = image.partition("@")
    if at:
        return f'{{name: lineshaft, newName: {name}, digest: "{digest}"}}'
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:  # a colon before a slash is a registry's port
        raise ConfigError(
            f"--image {image!r}: expected NAME:TAG or NAME@DIGEST; `latest` would change under running pods"
        )
    return f'{{name: lineshaft, newName: {name}, newTag: "{tag}"}}'


def _rendered(folder: Path) -> str:
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, str(folder)], check=False, capture_output=True, text=True)
            if done.returncode:
                raise ConfigError(f"{' '.join(command)}: {done.stderr.strip()}")
            return done.stdout
    raise ConfigError("neither kubectl nor kustomize is on PATH: name a folder to write to")
