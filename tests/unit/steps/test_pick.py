from __future__ import annotations

import numpy as np
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.steps.config import PickConfig, SelectCommand
from firstscan.steps.pick import check_strategy, pick, read_ids, read_options, run_pick
from firstscan.steps.run import Settings
from firstscan.store import write_features


def table(n=12):
    rng = np.random.default_rng(1)
    return FeatureTable(
        tuple(f"c{i:02d}" for i in range(n)),
        rng.normal(size=(n, 4)),
        rng.random(n),
        covariates={"patient": np.array([f"p{i // 2}" for i in range(n)])},
    )


def test_ids_from_text_and_csv(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffc1\n\n# no\nc 2  # odd\nc1\n", encoding="utf-8")
    assert read_ids(tmp_path / "a.txt") == ("c1", "c 2")
    (tmp_path / "a.csv").write_text('rank,case_id,why\n1,c1,"a, b"\n2,c2,x\n')
    assert read_ids(tmp_path / "a.csv") == ("c1", "c2")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(UsageError, match="names no case"):
        read_ids(tmp_path / "empty.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read_ids(tmp_path / "binary")


def test_options_are_typed():
    given = ["neighbours=15", "gamma_bounds=0.3,0.7", "thin_strata=score", "flag=true"]
    assert read_options(given) == {
        "neighbours": 15,
        "gamma_bounds": (0.3, 0.7),
        "thin_strata": "score",
        "flag": True,
    }


def test_strategy_options_are_checked_without_features():
    check_strategy(PickConfig(budget=1, option={"neighbours": 3}))
    with pytest.raises(UsageError, match=r"no option 'radius'; its options are .*neighbours"):
        check_strategy(PickConfig(budget=1, option={"radius": 3}))
    with pytest.raises(UsageError, match="unknown strategy"):
        check_strategy(PickConfig(budget=1, strategy="x"))


def test_lists_and_cases_left_out():
    config = PickConfig(budget=4, exclude=("c00", "bad"), include=("c05",), labelled=("c01",))
    chosen = pick(table(), config, {"bad": "truncated"}).case_ids
    assert chosen[0] == "c05"
    assert not {"c00", "c01"} & set(chosen)
    with pytest.raises(DataError, match=r"'bad', which cannot be used: truncated"):
        pick(table(), PickConfig(budget=2, include=("bad",)), {"bad": "truncated"})
    with pytest.raises(UsageError, match=r"not in the pool: c99 \(do you mean 'c"):
        pick(table(), PickConfig(budget=2, exclude=("c99",)))


def test_a_budget_that_lists_leave_no_room_for():
    with pytest.raises(DataError, match=r"only 11 scan\(s\) .*1 are excluded"):
        pick(table(), PickConfig(budget=12, exclude=("c00",)))


def test_own_features_are_picked_from_and_resumed(tmp_path):
    write_features(tmp_path / "own.parquet", table())
    out = tmp_path / "out"
    first, _ = run_pick(tmp_path / "own.parquet", PickConfig(budget=3), out, Settings())
    stamp = (out / "selection.csv").stat().st_mtime_ns
    again, _ = run_pick(tmp_path / "own.parquet", PickConfig(budget=3), out, Settings())
    assert again.picks == first.picks
    assert (out / "selection.csv").stat().st_mtime_ns == stamp
    with pytest.raises(UsageError, match="budget: 3 → 4"):
        run_pick(tmp_path / "own.parquet", PickConfig(budget=4), out, Settings())


def test_configs_refuse_what_they_do_not_know(tmp_path):
    with pytest.raises(UsageError, match="--colour"):
        SelectCommand.of(source=".", budget=1, colour="red")
    with pytest.raises(UsageError, match=r"--region brain: .*\n--preset slow: "):
        SelectCommand.of(source=".", budget=1, preset="slow", region="brain")
    config = SelectCommand.of(source="scans", budget=1)
    assert config.source.endswith("/scans")
    assert config.source.startswith("/")
    with pytest.raises(ValueError, match="frozen"):
        config.budget = 2
