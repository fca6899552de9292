"""What Prometheus itself says of the text that it would read."""

import os
import shutil
import subprocess

import pytest

_INSTALL = "no promtool: apt-get install prometheus (or brew install prometheus)"


def check_metrics(text: bytes) -> None:
    """Fails with promtool's words; in CI also if it is not there."""
    if not (promtool := shutil.which("promtool")):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(_INSTALL)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
