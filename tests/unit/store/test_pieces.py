from __future__ import annotations

import errno
from contextlib import suppress

import pyarrow.parquet as pq
import pytest

from firstscan.domain.errors import DataError
from firstscan.store import Pieces, pieces

ROWS = {
    f"k{i}": (f"series {i // 3}", f"slice {i} \udc80".encode("ascii", "backslashreplace").decode()) for i in range(9)
}


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_rows_are_found_by_their_keys_and_share_what_is_common(tmp_path):
    store = Pieces(tmp_path / "c")
    assert store.find(ROWS) == {}
    assert not (tmp_path / "c").exists()
    store.add(list(ROWS.items())[:5])
    store.add(list(ROWS.items())[4:])
    assert Pieces(tmp_path / "c").find(ROWS) == ROWS
    found = store.find(["k3", "k5", "other", ""])
    assert found == {"k3": ROWS["k3"], "k5": ROWS["k5"]}
    assert found["k3"][0] is found["k5"][0]  # though they lie in two pieces


def test_a_writer_flushes_when_enough_or_long_enough_has_waited_and_however_it_ends(tmp_path, monkeypatch):
    store = Pieces(tmp_path)
    monkeypatch.setattr(pieces, "_BATCH_ROWS", 4)
    with suppress(KeyboardInterrupt), store.writer(ROWS) as writer:
        for n, (key, row) in enumerate(ROWS.items(), start=1):
            writer.append(key, row)
            assert len(files(tmp_path)) == n // 4
        raise KeyboardInterrupt
    assert files(tmp_path) == ["00000000.parquet", "00000001.parquet", "00000002.parquet"]
    assert store.find(ROWS) == ROWS
    monkeypatch.setattr(pieces, "_FLUSH_S", 0.0)
    with store.writer([*ROWS, "late"]) as writer:
        writer.append("late", ("", ""))
        assert "late" in store.find(["late"])


def test_pieces_that_pile_up_are_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "_PILED_UP", 3)
    store = Pieces(tmp_path)
    for key, row in ROWS.items():
        with store.writer(ROWS) as writer:
            writer.append(key, row)
        assert len(files(tmp_path)) <= 3
    assert store.find(ROWS) == ROWS


def test_rows_that_nobody_asks_for_go_once_they_are_half_or_pieces_have_piled_up(tmp_path, monkeypatch):
    store = Pieces(tmp_path)
    keys = list(ROWS)
    store.add(list(ROWS.items())[:4])
    store.add(list(ROWS.items())[4:])
    store.join(keys[:5])
    assert store.find(ROWS) == ROWS  # four of nine
    assert len(files(tmp_path)) == 2
    store.join([*keys[:4], "never read"])
    assert store.find(ROWS) == {key: ROWS[key] for key in keys[:4]}
    assert len(files(tmp_path)) == 1
    monkeypatch.setattr(pieces, "_PILED_UP", 0)
    store.join(keys[1:])
    assert list(store.find(ROWS)) == keys[1:4]
    store.join(["other"])
    assert files(tmp_path) == []


def test_a_join_that_was_cut_short_loses_nothing(tmp_path, monkeypatch):
    store = Pieces(tmp_path)
    store.add(ROWS.items())
    before = files(tmp_path)
    store.add(row for path in [tmp_path / before[0]] for row in pieces._read(path))
    assert len(files(tmp_path)) == 2
    assert store.find(ROWS) == ROWS


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty"])
def test_a_damaged_piece_costs_its_rows_only(tmp_path, damage):
    store = Pieces(tmp_path)
    store.add(list(ROWS.items())[:4])
    store.add(list(ROWS.items())[4:])
    path = tmp_path / "00000000.parquet"
    whole = path.read_bytes()
    if damage == "other":
        pq.write_table(pq.read_table(path).select(["key"]), path)
    else:
        middle = len(whole) // 4
        flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
        path.write_bytes({"cut": whole[: len(whole) // 2], "flipped": flipped, "empty": b""}[damage])
    found = store.find(ROWS)
    assert found == {key: ROWS[key] for key in found}
    assert set(found) >= set(list(ROWS)[4:])
    if damage != "flipped":
        assert len(found) == 5


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pieces, "_write", full)
    with pytest.raises(DataError, match="The disk is full"):
        Pieces(tmp_path).add(ROWS.items())
    assert files(tmp_path) == []
