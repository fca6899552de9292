"""What a process has counted so far."""

from collections import Counter

from lineshaft.telemetry.metrics import Registry


def counted(registry: Registry, name: str) -> Counter[str]:
    """Samples of one name in whole numbers, by the values of their labels."""
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == name]
    return Counter({"/".join(sample.labels.values()): int(sample.value) for sample in samples})


class Since:
    """What is counted from now on."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._before = {
            name: counted(registry, name)
            for name in {sample.name for family in registry.collect() for sample in family.samples}
        }

    def more(self, name: str) -> dict[str, int]:
        """By the values of labels, without those that are as they were."""
        full = f"lineshaft_{name}"
        return dict(counted(self._registry, full) - self._before.get(full, Counter()))
