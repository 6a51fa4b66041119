"""
The native load generator and what it is measured against: loopback TCP, a bare echo, raw fdatasync.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from benchmarks import frames
from tests.clients.brokers import ROOT, free_port

LOAD = "load.c"


@frozen
class Load:
    """What one run of the load generator measured."""

    requests: int
    errors: int
    requests_per_s: float
    mb_per_s: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


def compiled(source: str) -> Path:
    """Return a program of this directory, compiled unless that was done since it was changed."""
    path = ROOT / "benchmarks" / source
    program = ROOT / ".cache" / path.stem
    if not program.exists() or program.stat().st_mtime <= path.stat().st_mtime:
        program.parent.mkdir(exist_ok=True)
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(path)], check=True)
    return program


def start(
    port: int,
    requests: Sequence[bytes],
    directory: Path,
    *,
    connections: int = 1,
    in_flight: int = 1,
    seconds: float = 3.0,
    per_s: float = 0.0,
    error_at: int = -1,
) -> subprocess.Popen[str]:
    """Start the load generator; see load.c for what the arguments mean."""
    path = directory / f"frames-{port}-{len(requests)}-{connections}.bin"
    path.write_bytes(b"".join(requests))
    arguments = (port, path, connections, in_flight, seconds, per_s, error_at)
    return subprocess.Popen([str(compiled(LOAD)), *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], deadline_s: float = 120.0) -> Load:
    """
    Wait for the load generator.

    @raise RuntimeError: it failed, or an answer held an error.
    """
    printed, _ = process.communicate(timeout=deadline_s)
    if process.returncode:
        raise RuntimeError(f"the load generator failed: {printed}")
    return Load(**json.loads(printed))


def run_produce(
    port: int,
    topic: str,
    batch: bytes,
    directory: Path,
    *,
    partitions: int,
    connections: int,
    in_flight: int,
    seconds: float,
    per_s: float = 0.0,
) -> Load:
    """
    Produce the batch again and again, each connection to a partition of its own while there are enough.

    @raise RuntimeError: the broker refused a batch, or closed a connection.
    """
    process = start(
        port,
        produce_requests(topic, partitions, batch),
        directory,
        connections=connections,
        in_flight=in_flight,
        seconds=seconds,
        per_s=per_s,
        error_at=frames.produce_error_at(topic),
    )
    return finish(process)


def produce_requests(topic: str, partitions: int, batch: bytes) -> list[bytes]:
    """A Produce request of the batch for each partition."""
    return [frames.produce(topic, partition, batch) for partition in range(partitions)]


def loopback_mb_per_s(seconds: float) -> float:
    """
    What iperf3 moves through one TCP connection over loopback, in its default 128 KiB writes.

    @raise RuntimeError: it did not come about in some seconds; iperf3 says why only in what it prints.
    """
    port = free_port()
    server = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL)
    command = ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-t", str(max(1, round(seconds))), "-J"]
    deadline = time.monotonic() + 10 + 3 * seconds
    try:
        while True:
            printed = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
            received = json.loads(printed)["end"].get("sum_received")
            if received is not None:
                return float(received["bits_per_second"]) / 8e6
            if time.monotonic() > deadline:
                raise RuntimeError(f"iperf3: {printed}")
    finally:
        server.kill()
        server.wait()


def echo(kind: str, requests: Sequence[bytes], directory: Path, seconds: float) -> Load:
    """The same frames against a bare Twisted protocol, in a process of its own; 8 connections, 5 in flight."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.echo", kind], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        return finish(start(port, requests, directory, connections=8, in_flight=5, seconds=seconds))
    finally:
        server.kill()
        server.wait()


def fdatasyncs_per_s(directory: Path, data: bytes, seconds: float) -> float:
    """How often in a second the disk takes a small append and a sync."""
    path = directory / "fdatasync.probe"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            os.write(descriptor, data)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()
