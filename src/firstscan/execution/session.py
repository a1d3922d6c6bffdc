"""A connection to a Ray cluster: joined through RAY_ADDRESS, or started here and ended with the work."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from firstscan.domain.errors import UsageError

from .work import usable_cores

ADDRESS = "RAY_ADDRESS"
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # as processes of the local engine; by default they wait for everything else
}
_PROBE_S = 10.0
_STORE_BYTES = 100 * 2**20
_open: list[bool] = []
"""One entry a block of :func:`engine_session` that is under way; True for the outermost once there is a connection."""


@contextmanager
def engine_session(engine: str) -> Iterator[None]:
    """Keep the connection that work inside the block makes until its end, so that steps share it."""
    if engine != "ray":
        yield
        return
    _open.append(False)
    try:
        yield
    finally:
        if _open.pop():
            import ray

            ray.shutdown()


def connected(workers: int | None) -> Any:
    """Return the module ``ray``, connected; a cluster that is started here has at least ``workers`` cores.

    A program that has called ``ray.init`` itself keeps its connection. Nothing is sent anywhere: no usage statistics,
    no dashboard.

    Raises
    ------
    UsageError : no cluster answers at RAY_ADDRESS.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return ray
    _silence(ray)
    address = os.environ.get(ADDRESS)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            _probe(address)
            ray.init(address, **quiet)
        else:
            cores = max(workers or 0, usable_cores())
            ray.init("local", num_cpus=cores, object_store_memory=_STORE_BYTES, include_dashboard=False, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(_refused(address, error)) from error
    if _open:
        _open[0] = True
    return ray


def _silence(ray: Any) -> None:
    """Keep Ray from printing lost workers to standard output, which belongs to results; they are dealt with here."""
    worker: Any = getattr(getattr(ray, "_private", None), "worker", None)
    if hasattr(worker, "listen_error_messages"):  # there is no public switch; where the name changes, Ray prints
        worker.listen_error_messages = lambda *_: None


def _probe(address: str) -> None:
    """Raise OSError where nothing listens at ``host:port``: Ray itself would try for minutes, and log it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PROBE_S).close()


def _refused(address: str | None, error: Exception) -> str:
    reason = str(error).strip().splitlines()
    said = reason[0] if reason else type(error).__name__
    if address:
        return (
            f"No Ray cluster answers at {ADDRESS}={address} ({said}). Start one there with `ray start --head`, or "
            f"unset {ADDRESS} to start one on this machine for the length of the run."
        )
    return f"Ray could not be started on this machine ({said}). Use --engine local."
