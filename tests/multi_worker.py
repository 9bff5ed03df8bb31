"""Starts the workers of a cluster on this machine, as the tests do."""

import json
import os
import socket
import subprocess
import sys


def free_ports(number):
    """Finds free ports."""
    sockets = [socket.socket() for _ in range(number)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start(command, directory, *, number=2, **environment):
    """Starts a command once per worker; their output goes to `worker_I.log`."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(number)]
    processes = []
    for index in range(number):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        with open(directory / f"worker_{index}.log", "w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *map(str, command)],
                    env={**os.environ, "TF_CONFIG": json.dumps(config), **environment},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return processes


def logs(directory):
    """The ends of the workers' logs."""
    paths = sorted(directory.glob("worker_*.log"))
    return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in paths)
