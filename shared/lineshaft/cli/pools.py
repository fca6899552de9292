"""Pools of workers in Kubernetes: one Deployment each, with the queues that it serves."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from lineshaft.errors import ConfigError
from lineshaft.queues.weights import parse_weights

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")  # part of the names of Deployments and pods
_REPLICAS = 2  # one more than is needed while all is well


class Pool(Struct, frozen=True):
    """Workers that are alike."""

    name: str
    queues: str  # as LINESHAFT_QUEUES has them: interactive:3,runs:1
    replicas: int  # as many pods; the fewest, if KEDA scales them

    @property
    def queue_names(self) -> list[str]:
        """The queues without their weights."""
        return list(parse_weights(self.queues))

    def kustomization(self) -> str:
        """What makes these workers out of the pool that all have in common."""
        return f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../worker]
nameSuffix: -{self.name}
labels:
  - pairs:
      lineshaft/pool: {self.name}
    includeSelectors: true
patches:
  - target: {{kind: Deployment}}
    patch: |-
      - op: replace
        path: /spec/template/spec/containers/0/env/0
        value: {{name: LINESHAFT_QUEUES, value: "{self.queues}"}}
"""

    def scaler(self, *, namespace: str, jobs: int) -> str:
        """The ScaledObject: pods by what is ready or running, `jobs` being the slots of one pod."""
        triggers = "".join(
            f"""\
    - type: metrics-api
      name: {queue}
      metadata:
        url: http://lineshaft-gateway.{namespace}.svc/internal/scaling/{queue}
        valueLocation: value
        targetValue: "{max(1, jobs * 8 // 10)}"
        authMode: apiKey
        method: header
        keyParamName: X-Api-Key
      authenticationRef: {{name: lineshaft-scaling}}
"""
            for queue in self.queue_names
        )
        return f"""\
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: lineshaft-worker-{self.name}
  namespace: {namespace}
spec:
  scaleTargetRef: {{name: lineshaft-worker-{self.name}}}
  minReplicaCount: {self.replicas}
  maxReplicaCount: {max(20, 4 * self.replicas)}
  pollingInterval: 10  # seconds
  cooldownPeriod: 600  # seconds before the last pod goes, where the fewest is 0
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: 300
          policies:  # one pod a minute, or a tenth of many
            - {{type: Percent, value: 10, periodSeconds: 60}}
            - {{type: Pods, value: 1, periodSeconds: 60}}
  triggers:  # the one that wants most pods wins
{triggers}"""


def pools_of(queues: Sequence[str]) -> list[Pool]:
    """One for each queue of langgraph.json; the first takes what names no queue along."""
    first, *others = queues or ["runs"]
    shared = first if first == "runs" else f"{first}:3,runs:1"
    return [Pool(first, shared, _REPLICAS), *(Pool(queue, queue, _REPLICAS) for queue in others)]


def scalers(pools: Iterable[Pool], *, namespace: str, jobs: int) -> str:
    """The file of the component `keda`."""
    return f"""\
# Never by what is ready alone: workers that are all busy would look idle, and lose their pods.
# targetValue: 0.8 of N_JOBS_PER_WORKER ({jobs}), so that a free slot waits for the next run.
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: lineshaft-scaling
  namespace: {namespace}
spec:
  secretTargetRef:
    - {{parameter: apiKey, name: lineshaft-scaling, key: api-key}}
{"".join(pool.scaler(namespace=namespace, jobs=jobs) for pool in pools)}"""


def read_pools(pools: Iterable[str], replicas: Iterable[str], queues: Sequence[str]) -> list[Pool]:
    """Pools from NAME=QUEUES and NAME=NUMBER, as the command line has them, else of `queues`. Raises ConfigError."""
    found = {pool.name: pool for pool in ([] if pools else pools_of(queues))}
    for text in pools:
        name, _, served = text.partition("=")
        if not _NAME.fullmatch(name) or not parse_weights(served):
            raise ConfigError(f"--pool {text!r}: expected NAME=QUEUE:WEIGHT,..., as in chat=interactive:3,runs:1")
        found[name] = Pool(name, served, _REPLICAS)
    for text in replicas:
        name, _, number = text.partition("=")
        if not number.isdecimal() or name not in found:
            raise ConfigError(f"--replicas {text!r}: expected NAME=NUMBER, the name being one of {', '.join(found)}")
        found[name] = Pool(name, found[name].queues, int(number))
    if not any("runs" in pool.queue_names for pool in found.values()):
        raise ConfigError("no pool serves the queue `runs`, which has all runs that name no queue")
    return list(found.values())
