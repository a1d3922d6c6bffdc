from pathlib import Path
from types import SimpleNamespace

import pytest

from firstscan.domain.case import Case, Channel
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.handoff.material import Material
from firstscan.handoff.place import placer


@pytest.fixture
def world(tmp_path):
    """Three two-channel scans of which two are picked, worst id first, and a place function that copies bytes."""
    source = tmp_path / "source"
    source.mkdir()

    def scan(case_id):
        channels = []
        for name in ("T1", "FLAIR"):
            path = source / f"{case_id.replace('/', '-')}_{name}.nii.gz"
            path.write_bytes(f"{case_id} {name}".encode())
            channels.append(Channel(name, str(path)))
        return Case(case_id, tuple(channels), {"patient": "p1", "series_uid": "1.2.3"})

    pool = Pool(str(source), tuple(scan(c) for c in ("a", "b c", "z")))
    selection = Selection(
        picks=(Pick("z", 1, 0, 0.9, 1.0, 2.0, "typical, hard"), Pick("b c", 2, None, None, None, None, "Ünusual <&>")),
        strategy="cscs",
        seed=42,
        budget=2,
    )
    labels = {}
    for case_id in ("z", "b c"):
        path = source / f"{case_id}_label.nii.gz"
        path.write_bytes(f"{case_id} label".encode())
        labels[case_id] = str(path)

    def convert(channel, target):
        target.write_bytes(b"converted " + Path(channel.path).name.encode())

    out = tmp_path / "out"
    out.mkdir()
    return SimpleNamespace(
        pool=pool,
        selection=selection,
        labels=labels,
        out=out,
        source=source,
        material=lambda **k: Material(selection, pool, **{"name": "My picks", **k}),
        link=placer("link", convert),
        copy=placer("copy", convert),
    )
