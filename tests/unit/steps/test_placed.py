from __future__ import annotations

from firstscan.steps.annotating.owned_files import before, begin, clear, inside, tell
from firstscan.store import open_workspace


def test_what_an_interrupted_run_left_is_put_aside_and_never_removed(tmp_path):
    out = tmp_path / "out"
    with open_workspace(out) as workspace:
        for n in (1, 2):
            begin(workspace, "told.json")
            (out / "labels").mkdir()
            (out / "labels" / "a.nii.gz").write_text(f"drawn by a person {n}")
            (out / "image.nii.gz").symlink_to(tmp_path / "elsewhere")
            clear(workspace, before(workspace, "told.json"), "hand-off")
            assert inside(workspace) == []
            assert not (out / "labels").exists()
            kept = out / "work" / f"unfinished-{n}" / "labels" / "a.nii.gz"
            assert kept.read_text() == f"drawn by a person {n}"


def test_what_a_finished_run_wrote_is_removed(tmp_path):
    out = tmp_path / "out"
    with open_workspace(out) as workspace:
        begin(workspace, "told.json")
        (out / "a.csv").write_text("ours")
        tell(workspace, "told.json", {}, editable={})
        clear(workspace, before(workspace, "told.json"), "hand-off")
        assert inside(workspace) == []
        assert not (out / "work" / "unfinished-1").exists()
