from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.execution import Silent
from firstscan.selection.geometry import typicality
from firstscan.steps.running.batch_config import PickConfig, SelectCommand, parse_quota
from firstscan.steps.running.run import Settings
from firstscan.steps.running.typed import read_ids, read_options
from firstscan.steps.selecting.pick import check_strategy, pick, run_pick
from firstscan.steps.selecting.trust import correlations, repeats, warnings_of
from firstscan.store import read_features, read_selection, write_features, write_findings, write_selection


def table(n=12):
    rng = np.random.default_rng(1)
    columns = {
        "patient": np.array([f"p{i // 2}" for i in range(n)]),
        "site": np.array(["A"] * (n - 3) + ["B"] * 3),
        "minutes": np.full(n, 10.0),
        "size": rng.random(n),
    }
    return FeatureTable(
        tuple(f"c{i:02d}" for i in range(n)),
        rng.normal(size=(n, 4)),
        columns["size"] + 0.2 * rng.random(n),
        covariates=columns,
    )


def test_ids_from_text_and_csv(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffc1\n\n# no\nc 2  # odd\nc1\n", encoding="utf-8")
    assert read_ids(tmp_path / "a.txt") == ("c1", "c 2")
    (tmp_path / "a.csv").write_text('rank,case_id,why\n1,c1,"a, b"\n2,c2,x\n')
    assert read_ids(tmp_path / "a.csv") == ("c1", "c2")
    for name, text in (("r", '"case_id","reason"\n"c1","odd"\n"c2",""\n'), ("excel", "case_id;reason\nc1;odd\nc2;\n")):
        (tmp_path / name).write_text(text)
        assert read_ids(tmp_path / name) == ("c1", "c2")
    (tmp_path / "tabs").write_text("rank\tcase_id\n1\tc1\n2\tc2\n")
    assert read_ids(tmp_path / "tabs") == ("c1", "c2")
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
    check_strategy(PickConfig(budget=1, strategy="cscs", option={"neighbours": 3}))
    with pytest.raises(UsageError, match=r"no option 'radius'; its options are .*neighbours"):
        check_strategy(PickConfig(budget=1, strategy="cscs", option={"radius": 3}))
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


def test_groups_quotas_and_minutes():
    chosen = pick(table(), PickConfig(budget=4, group_by=("patient",), quota=("site=B:2-2",))).case_ids
    assert sum(i >= "c09" for i in chosen) == 2
    assert len({int(i[1:]) // 2 for i in chosen}) == 4
    with pytest.raises(UsageError):
        pick(table(), PickConfig(budget=4, minutes=35.0, cost_column="minutes"))
    with pytest.raises(UsageError, match="--quota hospital: there is no such column; there are: minutes, patient"):
        pick(table(), PickConfig(budget=4, quota=("hospital=B:2",)))
    with pytest.raises(UsageError, match=r"--quota .*write COLUMN=GROUP:MIN-MAX"):
        PickConfig.of(budget=4, quota=("site=B",))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("site=A:2", ("site", "A", 2, None)), ("s=a:b:-4", ("s", "a:b", 0, 4)), ("s=a:2-4", ("s", "a", 2, 4))],
)
def test_quotas_are_parsed(text, parsed):
    assert parse_quota(text) == parsed


def test_signals_that_follow_a_column_are_named_and_can_be_adjusted():
    table_ = table(40)
    plain, adjusted = pick(table_, PickConfig(budget=4)), pick(table_, PickConfig(budget=4, adjust=("size",)))
    assert any(w.startswith("size explains ") and "of uncertainty" in w for w in warnings_of(plain.diagnostics))
    assert not any(w.startswith("size explains ") for w in warnings_of(adjusted.diagnostics))
    assert adjusted.diagnostics["adjusted_for"] == ["size"]
    rows = {(r.signal, r.covariate): r for r in correlations(plain.diagnostics)}
    assert rows["uncertainty", "size"].rho > 0.8
    assert rows["uncertainty", "size"].flagged


def test_stability_is_measured_when_asked_for(tmp_path):
    plain = pick(table(), PickConfig(budget=3))
    assert repeats(plain.diagnostics) is None
    found = pick(table(), PickConfig(budget=3, stability=3))
    assert found.picks == plain.picks
    shown = repeats(found.diagnostics)
    assert shown.repeats == 6
    assert 0 <= shown.mean_jaccard <= 1
    write_selection(tmp_path, found, {}, "1")
    assert repeats(read_selection(tmp_path).diagnostics) == shown
    assert correlations(read_selection(tmp_path).diagnostics) == correlations(found.diagnostics)


def test_a_table_beside_the_features_gives_columns_to_pick_by(tmp_path, capsys):
    bare = FeatureTable(table().case_ids, table().embeddings, table().uncertainty)
    write_features(tmp_path / "features.parquet", bare)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("case_id,reader_minutes,ward\n" + "".join(f"c{i:02d},{30 + i},{i % 3}\n" for i in range(11)))
    with pytest.raises(UsageError, match="--group-by ward: there is no such column; there are: none"):
        run_pick(tmp_path / "features.parquet", PickConfig(budget=3, group_by=("ward",)), tmp_path / "x", Settings())
    config = PickConfig(budget=3, group_by=("ward",), table=sheet)
    told = []

    class Said(Silent):
        def say(self, message):
            told.append(message)

    selection, used = run_pick(tmp_path / "features.parquet", config, tmp_path / "out", Settings(progress=Said()))
    assert told == ["Note: 1 of 12 scans have no row in sheet.csv: c11; complete the table"]
    assert len({int(i[1:]) % 3 for i in selection.case_ids if i != "c11"}) == len(set(selection.case_ids) - {"c11"})
    assert np.isnan(used.covariates["reader_minutes"][11])
    assert set(read_features(tmp_path / "out").covariates) == {"reader_minutes", "ward"}
    again, _ = run_pick(tmp_path / "features.parquet", config, tmp_path / "out", Settings())
    assert again.picks == selection.picks
    sheet.write_text(sheet.read_text().replace("c03,33,0", "c03,33,1"))
    with pytest.raises(UsageError, match="table_content"):
        run_pick(tmp_path / "features.parquet", config, tmp_path / "out", Settings())
    with pytest.raises(UsageError, match="choose another --out"):
        run_pick(tmp_path / "out", config, tmp_path / "out", Settings())


def test_a_table_beside_the_features_adds_to_what_they_know(tmp_path):
    write_features(tmp_path / "features.parquet", table())
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("case_id,patient,site\nc00,,B\nc01,p9,\nlost,,A\n")
    out_of = [Finding("truncated", "drop", "lost", "it is cut short", "copy it again")]
    write_findings(tmp_path / "findings.csv", out_of)
    told = []

    class Said(Silent):
        def say(self, message):
            told.append(message)

    config = PickConfig(budget=6, group_by=("patient",), table=sheet)
    _, used = run_pick(tmp_path / "features.parquet", config, tmp_path / "out", Settings(progress=Said()))
    assert used.covariates["patient"].tolist() == ["p0", "p9", *table().covariates["patient"][2:]]
    assert used.covariates["site"].tolist() == ["B", *table().covariates["site"][1:]]
    assert [line.split(";")[0].split(": c0")[0] for line in told] == [
        "Note: 10 of 12 scans have no row in sheet.csv",
        "Note: column patient of sheet.csv says something else than the source for 1 scan",
        "Note: column site of sheet.csv says something else than the source for 1 scan",
    ]


@pytest.mark.parametrize("strategy", ["coverage", "random", "typiclust", "kcenter"])
def test_every_pick_tells_typicality_and_uncertainty_whatever_chose_it(strategy):
    features = table()
    found = pick(features, PickConfig.of(budget=3, strategy=strategy, exclude=("c00",)))
    taken = features.only(set(features.case_ids) - {"c00"})
    dense = dict(zip(taken.case_ids, typicality(taken.embeddings, 20).values, strict=True))
    hard = dict(zip(taken.case_ids, taken.uncertainty, strict=True))
    for chosen in found:
        assert chosen.typicality == pytest.approx(dense[chosen.case_id])
        assert chosen.uncertainty == pytest.approx(hard[chosen.case_id])


def test_signals_of_a_pick_are_those_of_cscs():
    by_cscs = {p.case_id: p for p in pick(table(), PickConfig.of(budget=12, strategy="cscs"))}
    for chosen in pick(table(), PickConfig.of(budget=4, strategy="coverage")):
        assert chosen.typicality == pytest.approx(by_cscs[chosen.case_id].typicality)
        assert chosen.uncertainty == pytest.approx(by_cscs[chosen.case_id].uncertainty)


def test_without_uncertainty_coverage_picks_and_says_so_and_cscs_refuses():
    features = replace(table(), uncertainty=None)
    found = pick(features, PickConfig.of(budget=3, strategy="coverage", adjust=("size",), stability=2))
    assert [p.uncertainty for p in found] == [None] * 3
    assert all(p.typicality is not None for p in found)
    assert "dcr" not in found.diagnostics
    assert {row["signal"] for row in found.diagnostics["signal_audit"]["associations"]}.isdisjoint({"uncertainty"})
    for strategy, option in (("cscs", {}), ("csal3d", {}), ("maxherding", {"weighted": True})):
        with pytest.raises(
            UsageError, match=f"strategy {strategy} chooses by uncertainty U, and these features hold none"
        ):
            pick(features, PickConfig.of(budget=3, strategy=strategy, option=option))
        with pytest.raises(UsageError, match="extract with --preset fast"):
            check_strategy(PickConfig.of(budget=3, strategy=strategy, option=option), uncertain=False)
    assert len(pick(features, PickConfig.of(budget=3, strategy="maxherding"))) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"train_steps": 5}, "--train-steps is about the network"),
        ({"region": "all"}, "--region all is about signals of the network"),
        ({"features": ("positions",)}, "--features positions: --preset instant measures appearance, texture, shape"),
    ],
)
def test_settings_of_a_network_are_refused_without_one(given, words):
    with pytest.raises(UsageError, match=words):
        SelectCommand.of(source=".", budget=2, preset="instant", **given)
    assert SelectCommand.of(source=".", budget=2, preset="instant", features=("shape",)).preset == "instant"
