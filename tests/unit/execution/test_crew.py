"""Which case is blamed for a lost worker, with workers whose last answers are lost as well: Ray's place is taken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from firstscan.execution.cluster import _Crew
from firstscan.execution.work import Place, Work, WorkerDied


class Lost(Exception):
    pass


class Ref:
    """What a call returns at once."""

    def __init__(self, member, item):
        self.member, self.item = member, item


class FakeRay:
    """Workers that answer in order; one that has a deadly case, now or next, dies before any answer of it arrives."""

    exceptions = SimpleNamespace(RayTaskError=type("Task", (Exception,), {}), RayError=Lost)

    def __init__(self, deadly=(), accident=""):
        self.deadly, self.accident, self.most_ahead = set(deadly), accident, 0

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def remote(self, **_):
        return lambda kind: SimpleNamespace(remote=lambda *arguments: FakeMember(self))

    def wait(self, refs, num_returns):
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref):
        member = ref.member
        if not member.dead and self.accident in member.waiting:
            member.dead, self.accident = True, "-"
        if member.dead or self.deadly & set(member.waiting):
            member.dead = True
            raise Lost
        if ref.item is not None:
            member.waiting.remove(ref.item)
        return ref.item

    def kill(self, member):
        member.dead = True


class FakeMember:
    def __init__(self, ray):
        self.ray, self.dead, self.waiting = ray, False, []
        self.begin = SimpleNamespace(remote=lambda: Ref(self, None))
        self.work = SimpleNamespace(remote=self._work)

    def _work(self, item):
        self.waiting.append(item)
        self.ray.most_ahead = max(self.ray.most_ahead, len(self.waiting))
        return Ref(self, item)


def results(ray, n=12):
    crew = _Crew(ray, Work(str), [(f"c{i}", f"c{i}") for i in range(n)], Place(workers=2))
    return dict(crew.results())


@pytest.mark.parametrize("deadly", [{"c7"}, {"c0"}, {"c11"}, {"c4", "c5"}, {"c2", "c8", "c9"}])
def test_only_deadly_cases_are_blamed_though_neighbours_lose_their_answers(deadly):
    ray = FakeRay(deadly)
    found = results(ray)
    assert {i for i, r in found.items() if isinstance(r, WorkerDied)} == deadly
    assert {i: r for i, r in found.items() if i not in deadly} == {
        f"c{i}": f"c{i}" for i in range(12) if f"c{i}" not in deadly
    }
    assert ray.most_ahead == 2


def test_a_worker_that_is_lost_once_costs_no_case():
    assert results(FakeRay(accident="c6")) == {f"c{i}": f"c{i}" for i in range(12)}
