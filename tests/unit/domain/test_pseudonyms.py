"""Neutral names: the same for a source, in an order that tells nothing, and no original left in a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstscan.domain.case import Case, Channel
from firstscan.domain.finding import Finding
from firstscan.domain.names.pseudonyms import Pseudonyms, neutral_channels
from firstscan.domain.pool import Pool


def pool_of(*names: str, **metadata: object) -> Pool:
    cases = tuple(
        Case(n, (Channel(f"AX T1 {n}", f"/data/{n}/CT", (f"/data/{n}/CT/a.dcm",)),), {"patient": n, **metadata})
        for n in names
    )
    return Pool("/data", cases, layout="dicom")


@given(st.sets(st.text("abcdefgh ", min_size=1), min_size=1, max_size=12), st.randoms())
def test_names_do_not_depend_on_order_and_stay_when_scans_are_added(originals, rnd):
    shuffled = list(originals)
    rnd.shuffle(shuffled)
    first = Pseudonyms().with_names("case", originals)
    assert first == Pseudonyms().with_names("case", shuffled)
    grown = first.with_names("case", [*originals, "another"])
    assert all(grown.of("case", o) == first.of("case", o) for o in originals)
    assert len(set(grown.names["case"].values())) == len(grown.names["case"])


def test_the_order_of_names_is_not_that_of_the_originals():
    names = Pseudonyms().with_names("case", (f"patient{i:02d}" for i in range(30)))
    numbers = [names.of("case", f"patient{i:02d}") for i in range(30)]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == [f"case-{i:04d}" for i in range(1, 31)]


def test_metadata_keeps_what_names_nobody():
    pool = pool_of(
        "MUELLER", sex="F", age=93.0, date="2019-08-07", site="St. Mary", field_strength=1.5, mrn=4711, old=True
    )
    (case,) = pool.neutral(Pseudonyms())
    assert case.case_id == "case-0001"
    assert dict(case.metadata) == {
        "patient": "patient-0001",
        "sex": "F",
        "age": 90,
        "date": 2019,
        "site": "site-0001",
        "field_strength": 1.5,
        "mrn": "mrn-0001",
        "old": True,
    }
    assert case.channels[0].name == "ax_t1"


def test_equal_technical_words_make_one_channel_across_scans_and_are_numbered_within_one():
    two = Case("a", (Channel("T1 Miller", "/data/1"), Channel("T1 (Smith)", "/data/2")))
    (case,) = Pool("/data", (two,)).neutral(Pseudonyms())
    assert [c.name for c in case.channels] == ["t1", "t1 (2)"]


@pytest.mark.parametrize(
    ("original", "neutral"),
    [
        ("T1post", "t1_post"),
        ("FLAIR_reg", "flair_reg"),
        ("Ax T2 Fs Meier", "ax_t2_fs"),
        ("Cora", "series"),
        ("MR", "mr"),
        ("0001", "0001"),
    ],
)
def test_channels_keep_technical_words_only(original, neutral):
    (channel,) = neutral_channels((Channel(original, "/data/1"),))
    assert channel.name == neutral


def test_findings_name_scans_by_id_and_files_by_number():
    pool = pool_of("MUELLER").with_findings(
        [
            Finding(
                "x",
                "note",
                "MUELLER",
                "/data/MUELLER/CT: series 'AX T1 MUELLER' has gaps at a.dcm",
                "",
                "/data/MUELLER/CT",
            ),
            Finding("y", "drop", "MAIER_1", "MAIER_1 is a localizer", "look at 'Maier scout'", "/data/MAIER/1"),
            Finding("z", "note", "", "JONES.dcm is a report", "nothing to do", "/data/JONES.dcm"),
        ]
    )
    neutral = pool.neutral(Pseudonyms())
    told = {f.code: f for f in neutral.findings}
    texts = " ".join(f"{f.case_id} {f.message} {f.remedy} {f.path}" for f in neutral.findings).lower()
    assert not any(secret in texts for secret in ("mueller", "maier", "jones", "/data"))
    assert told["x"].case_id in neutral
    assert told["y"].case_id.startswith("case-")
    assert told["z"].message.startswith("file-0001 is a report")
    shown = Finding(
        "v", "note", told["x"].case_id, "2 channels (ax_t1, flair) where most have 1", "take --channel ax_t1"
    )
    assert neutral.with_findings([shown]).findings[-1].message == shown.message
    later = neutral.with_findings(
        [Finding("w", "note", told["x"].case_id, "/data/MUELLER/CT is odd", "", "/data/MUELLER/CT")]
    )
    assert later.findings[-1].message == f"{told['x'].case_id} is odd"
    assert later.findings[-1].path == ""
