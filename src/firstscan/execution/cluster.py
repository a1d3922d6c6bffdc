"""Workers on a Ray cluster: each keeps what it has loaded, takes one case after another, and is replaced when lost."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from firstscan._version import __version__
from firstscan.domain.errors import DataError, FirstscanError, UsageError

from .memory import GIB, keep_freed_memory
from .processes import ONE_THREAD, portable
from .session import connected, engine_session
from .work import Place, Work, WorkerDied, attempt

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # cases that a worker has at once: one that it works on, one that waits
_DEATHS = 3  # workers that one case may cost
_FAILED_STARTS = 3
_SEEN_WITHIN_S = 40.0  # a file made a moment ago can take this long to show on network storage


def on_cluster(work: Work[T, R], items: Sequence[tuple[str, T]], place: Place) -> Iterator[tuple[str, R | Exception]]:
    """Run items on a Ray cluster; see :func:`firstscan.execution.run_cases`."""
    with engine_session("ray"):
        crew = _Crew(connected(place.workers), work, items, place)
        try:
            yield from crew.results()
        finally:
            crew.dismiss()


class _Member:
    """One worker, on whatever node it is; everything in here runs there."""

    def __init__(self, work: Work[Any, Any], place: Place, folder: str, version: str, patience_s: float) -> None:
        self._work, self._place, self._folder, self._version = work, place, folder, version
        self._patience_s = patience_s
        self._do: Any = None

    def begin(self) -> Exception | None:
        """Load what is kept; return what stands in the way."""
        os.environ.update({**ONE_THREAD, "OMP_NUM_THREADS": str(self._place.cores)})
        keep_freed_memory(GIB)
        try:
            if Path(self._folder).is_dir():
                os.chdir(self._folder)  # so that a relative path means what it means to the one who asked
            self._fits()
            self._do = self._work.made()
        except Exception as error:
            return portable(error)
        return None

    def work(self, item: Any) -> Any:
        """Return the result of one case, or its exception."""
        result = attempt(self._do, item)
        return portable(result) if isinstance(result, Exception) else result

    def _fits(self) -> None:
        node = socket.gethostname()
        if self._version != __version__:
            raise UsageError(
                f"Node {node} of the Ray cluster has firstscan {__version__}; this one is {self._version}. Install the "
                "same version on every node."
            )
        deadline = time.monotonic() + self._patience_s
        while unseen := [path for path in self._place.sees if not path.exists()]:
            if time.monotonic() > deadline:
                raise UsageError(
                    f"Node {node} of the Ray cluster cannot see {unseen[0]}. The scans and --out must lie on storage "
                    "that every node sees under the same path."
                )
            time.sleep(0.5)


@dataclass(eq=False)
class _Call(Generic[T]):
    """Something that a member was asked: to begin, where there is no ``case``, or to do a case."""

    member: Any
    case: tuple[str, T] | None


class _Crew(Generic[T, R]):
    """The workers of one :func:`on_cluster` and what each of them has to do."""

    def __init__(self, ray: Any, work: Work[T, R], items: Sequence[tuple[str, T]], place: Place) -> None:
        self._ray, self._waiting = ray, deque(items)
        self._share, self._size = _share(
            [node["Resources"] for node in ray.nodes() if node["Alive"]], place, len(items)
        )
        self._actor = ray.remote(max_restarts=0, **self._share)(_Member)
        self._arguments = (work, place, str(Path.cwd()), __version__, _SEEN_WITHIN_S)
        self._calls: dict[Any, _Call[T]] = {}
        self._busy: dict[Any, int] = {}
        self._deaths: Counter[str] = Counter()
        self._alone: set[Any] = set()
        self._failed_starts = 0

    def results(self) -> Iterator[tuple[str, R | Exception]]:
        """Yield results as they come until there is nothing left to do."""
        for _ in range(self._size):
            self._hire()
        while self._waiting or any(call.case for call in self._calls.values()):
            self._hand_out()
            done, _ = self._ray.wait(list(self._calls), num_returns=1)
            for ref in done:
                if ref in self._calls:  # the death of a worker settles all that it had to do
                    yield from self._settle(ref)

    def dismiss(self) -> None:
        """End every worker."""
        for member in {*self._busy, *(call.member for call in self._calls.values())}:
            self._ray.kill(member)

    def _hire(self) -> None:
        member = self._actor.remote(*self._arguments)
        self._calls[member.begin.remote()] = _Call(member, None)

    def _hand_out(self) -> None:
        """Give every worker some cases ahead; a case that a worker was lost with goes alone, to be told from others."""
        for ahead in range(_AHEAD):
            for member, busy in self._busy.items():
                if not self._waiting or busy != ahead or member in self._alone:
                    continue
                suspect = self._deaths[self._waiting[0][0]] > 0
                if suspect and busy:
                    continue
                if suspect:
                    self._alone.add(member)
                case = self._waiting.popleft()
                self._calls[member.work.remote(case[1])] = _Call(member, case)
                self._busy[member] += 1

    def _settle(self, ref: Any) -> Iterator[tuple[str, R | Exception]]:
        call = self._calls[ref]
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:  # an answer or a question that cannot travel
            answer = portable(error)
        except self._ray.exceptions.RayError as error:
            yield from self._lost(call.member, error)
            return
        del self._calls[ref]
        if call.case is not None:
            self._busy[call.member] -= 1
            self._alone.discard(call.member)
            yield call.case[0], answer
        elif isinstance(answer, Exception):
            raise answer if isinstance(answer, FirstscanError) else DataError(f"A worker cannot begin: {answer}")
        else:
            self._failed_starts = 0
            self._busy[call.member] = 0

    def _lost(self, member: Any, error: Exception) -> Iterator[tuple[str, R | Exception]]:
        """Give back what a lost worker had to do, and replace it.

        A case is blamed where it was the only one: the answer to another, done just before, may be lost as well.
        """
        self._busy.pop(member, None)
        self._alone.discard(member)
        unfinished: list[tuple[str, T]] = []
        for ref in [ref for ref, call in self._calls.items() if call.member is member]:
            case = self._calls.pop(ref).case
            if case is None:
                self._failed_starts += 1
                continue
            try:
                yield case[0], self._ray.get(ref)  # done before the worker was lost
            except self._ray.exceptions.RayError:
                unfinished.append(case)
        self._ray.kill(member)
        if self._failed_starts >= _FAILED_STARTS:
            raise DataError(f"The workers of the Ray cluster end before they can begin: {error}")
        for case in reversed(unfinished):
            self._waiting.appendleft(case)
        self._deaths.update(case_id for case_id, _ in unfinished)
        if len(unfinished) == 1:
            blamed = unfinished[0][0]
            if self._deaths[blamed] >= _DEATHS:
                self._waiting.popleft()
                yield (
                    blamed,
                    WorkerDied(
                        f"{_DEATHS} workers were lost while they worked on case {blamed!r}. Its file may be damaged in "
                        "a way that crashes the reading library, or the memory of the nodes is too small."
                    ),
                )
        if len(self._busy) + sum(call.case is None for call in self._calls.values()) < self._size:
            self._hire()


def _share(nodes: Sequence[dict[str, float]], place: Place, items: int) -> tuple[dict[str, Any], int]:
    """Return what one worker takes of a node, and how many workers there are to be; ``nodes``: what each offers."""
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if place.gpu and not gpus:
        raise UsageError("No node of the Ray cluster has a GPU. Start one that has, or use --device cpu.")
    if gpus and place.gpu in {None, True}:
        share: dict[str, Any] = {"num_cpus": 0, "num_gpus": 1}
        if place.shared:
            share["max_concurrency"] = _AHEAD  # one case is read while the GPU is at another
        fits, kind = gpus, "GPU"
    else:
        most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
        if most < 1:
            raise UsageError(
                "No node of the Ray cluster offers a CPU core. Start one that does: ray start --num-cpus=4"
            )
        cores = min(place.cores, most)
        share, kind = {"num_cpus": cores}, f"{cores} CPU cores" if cores > 1 else "CPU core"
        fits = sum(int(node.get("CPU", 0)) // cores for node in nodes)
    if place.workers is not None and place.workers > fits:
        raise UsageError(f"--workers {place.workers}: the Ray cluster has room for {fits}, one for each {kind}")
    return share, max(min(place.workers or fits, items), 1)
