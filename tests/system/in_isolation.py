"""Started by test_offline.py in a network namespace of its own: a host without any network but itself.

Uses a server there, as its clients must be in the same namespace, and prints what came of it as JSON.
"""

import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from tests.system.server import DevServer


def reaches(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


def walk(server: DevServer) -> dict[str, object]:
    """Create a thread, run the demo's chat on it, and look at the docs."""
    with httpx.Client(base_url=server.url, timeout=30) as http:
        thread = http.post("/threads", json={}).json()["thread_id"]
        body = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}}
        values = http.post(f"/threads/{thread}/runs/wait", json=body).json()
        # Elsewhere these two mean calls to a service for traces: without one there is nothing to send.
        body |= {"feedback_keys": ["helpful"], "langsmith_tracer": {"project_name": "p", "example_id": "e"}}
        stream = http.post(f"/threads/{thread}/runs/stream", json=body).text
        waited = http.post(f"/threads/{thread}/runs/wait", json=body).json()
        return {
            "answer": values["messages"][-1]["content"],
            "docs": http.get("/docs").status_code,
            "events": sorted({line.removeprefix("event: ") for line in stream.splitlines() if line[:6] == "event:"}),
            "fields": sorted(waited),
        }


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    assert not reaches(("1.1.1.1", 443))
    with tempfile.TemporaryDirectory() as folder, DevServer(Path(folder)) as server:
        json.dump(walk(server), sys.stdout)
