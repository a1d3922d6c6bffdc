import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.store import (
    differences,
    dump_json,
    identity,
    load_json,
    read_manifest,
    to_plain,
    verified,
    write_manifest,
)


def made(tmp_path, **config):
    (tmp_path / "a.csv").write_text("x")
    return write_manifest(
        tmp_path, kind="select", version="1", config={"seed": 42, **config}, inputs={"c1": "f" * 64}, files=["a.csv"]
    )


def test_round_trip_and_same_bytes(tmp_path):
    manifest = made(tmp_path)
    first = (tmp_path / "manifest.json").read_bytes()
    assert read_manifest(tmp_path) == manifest
    assert verified(tmp_path, manifest)
    made(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == first


@pytest.mark.parametrize("damage", ["y", "xx", None])
def test_a_changed_or_missing_file_is_noticed(tmp_path, damage):
    manifest = made(tmp_path)
    (tmp_path / "a.csv").unlink()
    if damage is not None:
        (tmp_path / "a.csv").write_text(damage)
    assert not verified(tmp_path, manifest)


def test_an_edited_manifest_is_not_trusted(tmp_path):
    made(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 42', '"seed": 43'))
    assert read_manifest(tmp_path) is None


def test_a_broken_manifest_is_a_clear_error(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="not a valid JSON"):
        read_manifest(tmp_path)


def test_identity_follows_settings_and_ignores_their_order():
    assert identity({"a": 1, "b": 2.5}) == identity({"b": 2.5, "a": 1})
    assert identity({"a": 1}) != identity({"a": 2})
    assert identity({"a": 1}, {"x": "1"}) != identity({"a": 1, "x": "1"})


def test_differences_name_only_settings_that_changed():
    old = {"pick": {"budget": 8, "seed": 42}, "source": "a", "only_old": 1}
    new = {"pick": {"budget": 10, "seed": 42}, "source": "b", "channel": []}
    assert differences(old, new) == ["pick.budget: 8 → 10", "source: a → b"]


def test_json_has_no_nan_and_keeps_digits(tmp_path):
    value = {"x": np.float64(0.1) + 0.2, "bad": np.nan, "inf": float("inf"), "row": np.arange(3), "s": {"b", "a"}}
    (tmp_path / "v.json").write_text(dump_json(value))
    assert load_json(tmp_path / "v.json") == {
        "x": 0.1 + 0.2, "bad": None, "inf": None, "row": [0, 1, 2], "s": ["a", "b"],
    }  # fmt: skip
    with pytest.raises(TypeError, match="object"):
        to_plain(object())
