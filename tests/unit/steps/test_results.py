from __future__ import annotations

import pytest

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.steps.running.results import finished, guard
from firstscan.store import write_manifest

CONFIG = {"source": "/scans", "budget": 3}
INPUTS = {"a": "1", "b": "2"}


def made(out, kind="select", config=CONFIG, version=__version__):
    (out / "selection.csv").write_text("x")
    write_manifest(out, kind=kind, version=version, config=config, inputs=INPUTS, files=["selection.csv"])


def test_a_free_folder(tmp_path):
    assert guard(tmp_path, "select", CONFIG, overwrite=False) is None
    assert not finished(tmp_path, None, "select", INPUTS)


def test_the_same_result(tmp_path):
    made(tmp_path)
    manifest = guard(tmp_path, "select", CONFIG, overwrite=False)
    assert finished(tmp_path, manifest, "select", INPUTS)
    assert finished(tmp_path, manifest, "check", INPUTS)
    (tmp_path / "selection.csv").unlink()
    assert not finished(tmp_path, manifest, "select", INPUTS)


def test_an_earlier_command_is_gone_on_from(tmp_path):
    made(tmp_path, kind="check", config={"source": "/scans"})
    manifest = guard(tmp_path, "select", CONFIG, overwrite=False)
    assert manifest is not None
    assert not finished(tmp_path, manifest, "select", INPUTS)


@pytest.mark.parametrize(
    ("kind", "config", "version", "message"),
    [
        ("select", {"source": "/scans", "budget": 4}, __version__, "budget: 4 → 3"),
        ("check", {"source": "/other"}, __version__, "source: /other → /scans"),
        ("select", CONFIG, "0.0.1", rf"version: 0\.0\.1 → {__version__}"),
        ("pick", CONFIG, __version__, "made by: firstscan pick"),
    ],
)
def test_another_result_is_refused_until_overwritten(tmp_path, kind, config, version, message):
    made(tmp_path, kind, config, version)
    with pytest.raises(UsageError, match=message) as caught:
        guard(tmp_path, "select", CONFIG, overwrite=False)
    assert "--overwrite" in str(caught.value)
    assert guard(tmp_path, "select", CONFIG, overwrite=True) is None
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": "1"}, r"1 scan\(s\) no longer there: b"),
        ({"a": "1", "b": "2", "c": "3"}, r"1 new scan\(s\): c"),
        ({"a": "1", "b": "x"}, r"1 scan\(s\) with other content: b"),
    ],
)
def test_other_scans_are_refused(tmp_path, inputs, message):
    made(tmp_path)
    manifest = guard(tmp_path, "select", CONFIG, overwrite=False)
    with pytest.raises(UsageError, match=message):
        finished(tmp_path, manifest, "select", inputs)


def test_a_broken_manifest_can_be_overwritten(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    assert guard(tmp_path, "select", CONFIG, overwrite=True) is None
