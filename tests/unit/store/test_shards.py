import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firstscan.domain.errors import DataError
from firstscan.domain.features import FeatureTable
from firstscan.store import ShardStore, read_features, shards, stream_features, write_features

DIM = 5


def row(i):
    return np.random.default_rng(i).standard_normal(DIM).astype(np.float32), float(i) / 7


def fill(store, numbers, **how):
    with store.writer(**how) as writer:
        for i in numbers:
            writer.append(f"case{i:04d}", f"key{i:04d}", *row(i))


def read_back(store, numbers):
    parts = list(store.locate([f"key{i:04d}" for i in numbers]).read(rows=7))
    return np.concatenate([e for e, _ in parts]), np.concatenate([u for _, u in parts])


@pytest.mark.parametrize("batch", [1, 3, 9, 1024])
def test_rows_come_back_in_the_order_asked_for_from_few_files(tmp_path, batch):
    store = ShardStore(tmp_path)
    order = np.random.default_rng(0).permutation(230)
    fill(store, order, batch=batch)
    asked = [*range(229, -1, -1), 5, 5]
    embeddings, uncertainty = read_back(store, asked)
    for place, i in enumerate(asked):
        np.testing.assert_array_equal(embeddings[place], row(i)[0])
        assert uncertainty[place] == row(i)[1]
    assert len(list(tmp_path.iterdir())) <= 30
    assert len(pd.read_parquet(tmp_path)) == 230


def test_what_was_flushed_is_there_while_the_writer_goes_on(tmp_path):
    store = ShardStore(tmp_path)
    with store.writer(batch=10) as writer:
        for i in range(25):
            writer.append(f"case{i:04d}", f"key{i:04d}", *row(i))
        so_far = read_features(tmp_path)
        assert so_far.case_ids == tuple(f"case{i:04d}" for i in range(20))
        np.testing.assert_array_equal(so_far.embeddings[13], row(13)[0])
    assert len(read_features(tmp_path)) == 25


def test_rows_do_not_wait_longer_than_asked_and_an_error_flushes(tmp_path):
    store = ShardStore(tmp_path)
    fill(store, range(3), flush_s=0.0)
    assert len(store.shards()) == 3

    def broken():
        with store.writer() as writer:
            writer.append("case0003", "key0003", *row(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert store.locate(["key0003", "key0009"]).missing == [1]


def test_the_latest_row_of_a_case_counts(tmp_path):
    store = ShardStore(tmp_path)
    for value in (1.0, 2.0):
        with store.writer() as writer:
            writer.append("a", f"key{value}", np.full(DIM, value), value)
    assert read_features(tmp_path).uncertainty.tolist() == [2.0]
    with store.writer() as writer:
        writer.append("a", "key1.0", np.full(DIM, 3.0), 3.0)
    ((_, uncertainty),) = store.locate(["key1.0"]).read()
    assert uncertainty.tolist() == [3.0]


def test_a_join_that_was_cut_short_changes_nothing(tmp_path, monkeypatch):
    store = ShardStore(tmp_path)
    fill(store, range(9), batch=1)
    with monkeypatch.context() as patched:
        patched.setattr(shards.Path, "unlink", lambda self, missing_ok=False: None)  # killed before the old ones went
        fill(store, [9], batch=1)
    assert len(list(tmp_path.iterdir())) == 11
    assert len(store.shards()) == 1
    np.testing.assert_array_equal(read_back(store, range(10))[1], [row(i)[1] for i in range(10)])
    fill(store, [10], batch=1)
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_array_equal(read_back(store, range(11))[1], [row(i)[1] for i in range(11)])


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_shard_is_found_and_its_cases_count_as_missing(tmp_path, harm):
    store = ShardStore(tmp_path)
    fill(store, range(4))
    fill(store, range(4, 6))
    path = store.shards()[0]
    content = bytearray(path.read_bytes())
    place = content.find(row(2)[0].tobytes())
    content[place] ^= 1
    path.write_bytes({"cut": content[:-9], "flip": content, "empty": b""}[harm])
    keys = [f"key{i:04d}" for i in range(6)]
    with pytest.raises(DataError, match="damaged"):
        list(store.locate(keys).read())
    assert path.exists()
    assert store.locate(keys, repair=True).missing == [0, 1, 2, 3]
    assert not path.exists()


def test_a_lost_disk_is_no_damage(tmp_path, monkeypatch):
    store = ShardStore(tmp_path)
    fill(store, range(2))

    def unreadable(*_, **__):
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(shards.pq, "ParquetFile", unreadable)
    with pytest.raises(OSError, match="Input/output"):
        store.locate(["key0000"], repair=True)
    assert len(store.shards()) == 1


def test_a_shard_of_a_newer_version_is_refused(tmp_path):
    store = ShardStore(tmp_path)
    fill(store, range(2))
    (path,) = store.shards()
    table = pq.read_table(path).replace_schema_metadata({b"firstscan": b'{"schema_version": 99}'})
    pq.write_table(table, path)
    with pytest.raises(DataError, match="newer firstscan"):
        store.locate(["key0000"], repair=True)
    assert path.exists()


def test_streamed_and_written_tables_are_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("firstscan.store.features._GROUP_ROWS", 16)
    ids = tuple(f"case{i:04d}" for i in range(50))
    store = ShardStore(tmp_path / "s")
    store.folder.mkdir()
    fill(store, reversed(range(50)), batch=6)
    columns = {"site": np.array(["a", "b"] * 25), "size": np.arange(50), "uncertainty": np.arange(50.0)}
    embeddings, uncertainty = read_back(store, range(50))
    write_features(tmp_path / "a.parquet", FeatureTable(ids, embeddings, uncertainty, None, columns))
    located = store.locate([f"key{i:04d}" for i in range(50)])
    for rows in (1, 7, 16, 100):
        stream_features(tmp_path / "b.parquet", ids, located.read(rows), covariates=columns)
        assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 4
    assert pa.types.is_fixed_size_list(pq.read_schema(tmp_path / "a.parquet").field("embedding").type)
    back = read_features(tmp_path / "b.parquet")
    np.testing.assert_array_equal(back.embeddings, embeddings)
    assert list(back.covariates) == list(columns)
