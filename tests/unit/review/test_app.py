from __future__ import annotations

import asyncio
import csv
import io
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import firstscan as fs
from firstscan.domain.errors import UsageError
from firstscan.review import app as application_module
from firstscan.review import server
from firstscan.review.app import application
from firstscan.review.server import laid_out
from firstscan.review.session import Session
from firstscan.selection.geometry import standardise
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.history import History
from firstscan.steps.running.origin import note_origin
from firstscan.steps.running.run import Settings
from firstscan.steps.steering.review import held

TOKEN = "a-secret"
HOSTILE = "<script>alert(1)</script>"
OUTSIDE = ("../selection.json", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "C:\\Windows", "....//", "%00", "")


class Page:
    """Asks the application as a browser on this machine would, without a socket in between."""

    def __init__(self, app: Any, token: str = TOKEN, host: str = "127.0.0.1:8000") -> None:
        self.app = app
        self._base = f"http://{host}/{token}/"

    def get(self, address: str, params: dict[str, Any] | None = None) -> httpx.Response:
        return asyncio.run(self._ask("GET", address, params=params))

    def post(self, address: str, json: Any) -> httpx.Response:
        return asyncio.run(self._ask("POST", address, json=json))

    async def _ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=self._base) as client:
            return await client.request(method, address, **more)


@pytest.fixture
def opened(results: Path) -> Iterator[tuple[Session, Callable[..., Page]]]:
    with held(results, Settings()) as holding:
        session = Session(holding)
        app = application(session, laid_out(holding, session), TOKEN)

        yield session, lambda token=TOKEN, host="127.0.0.1:8000": Page(app, token, host)


@pytest.fixture
def session(opened):
    return opened[0]


@pytest.fixture
def page(opened):
    return opened[1]()


LONG = 1 << 20
"""Most bytes of a body that are read."""

ADDRESSES = (
    "", "static/app.js", "static/page.css", "static/niivue.umd.js", "api/pool", "api/state", "api/log", "nothing",
    "api/selection.csv", "api/picture?case=c01", "api/scan?case=c01", "api/volume?case=c01&channel=0",
    "api/try?budget=3&strategy=cscs",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_gets_anything_without_the_key(opened, address):
    for token in ("wrong", "", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper()):
        answer = opened[1](token).get(address)
        assert answer.status_code == 403
        assert "firstscan review has printed" in answer.text
    assert opened[1]().get(f"http://127.0.0.1/{address}").status_code == 403


def counted(parts: int, size: int = 1 << 16) -> tuple[list[int], Callable[[], Any]]:
    """A body that comes in parts, and how many of them somebody has asked for."""
    asked: list[int] = []

    async def body():
        for part in range(parts):
            asked.append(part)
            yield b"x" * size

    return asked, body


@pytest.mark.parametrize(("token", "status", "most"), [(TOKEN, 413, LONG // (1 << 16) + 1), ("wrong", 403, 0)])
def test_no_more_of_a_body_is_read_than_the_page_can_send(opened, token, status, most):
    page = opened[1](token)
    asked, body = counted(40)
    answer = asyncio.run(page._ask("POST", "api/act", content=body()))
    assert answer.status_code == status
    assert len(asked) <= most
    if token == TOKEN:
        said = page.get("api/state", {}).status_code
        assert said == 200


def test_a_body_that_says_it_is_too_long_is_not_read_at_all(opened, session):
    page = opened[1]()
    asked, body = counted(1)
    answer = asyncio.run(page._ask("POST", "api/act", content=body(), headers={"content-length": str(LONG + 1)}))
    assert (answer.status_code, asked) == (413, [])
    assert len(session.events) == 1


def test_nobody_acts_without_the_key(opened):
    answer = opened[1]("wrong").post("api/act", json={"action": "undo"})
    assert answer.status_code == 403
    assert opened[1]().get(f"http://127.0.0.1/{TOKEN}").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "0.0.0.0:8000", "evil.example:127"])
def test_a_name_that_was_pointed_here_is_refused(opened, host):
    assert opened[1](host=host).get("api/pool").status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8000", "LOCALHOST"])
def test_this_machine_is_welcome_by_any_of_its_names(opened, host):
    assert opened[1](host=host).get("api/pool").status_code == 200


@pytest.mark.parametrize("address", ["", "static/app.js", "api/state", "api/nothing"])
def test_every_answer_forbids_other_hosts_and_caches(page, address):
    headers = page.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_from_outside_lead_nowhere(page, session, name):
    known = session.state.case_ids[0]
    for where, values in (
        ("picture", {"case": name}), ("picture", {"case": known, "plane": name}), ("scan", {"case": name}),
        ("volume", {"case": name, "channel": "0"}), ("volume", {"case": known, "channel": name}),
        ("slice", {"case": name, "channel": "0", "plane": "axial", "place": 0.5}),
        ("try", {"budget": 3, "strategy": name}), ("try", {"budget": name, "strategy": "cscs"}), (name, {}),
    ):  # fmt: skip
        if where or values:
            assert page.get(f"api/{where}", params=values).status_code == 404, (where, values)
    for body in ({"action": "accept", "case": name}, {"action": name}, {"action": "strategy", "strategy": name}):
        assert page.post("api/act", json=body).status_code == 404, body
    assert page.get(f"static/{name}").status_code == 404
    assert len(session.events) == 1


@pytest.mark.parametrize(
    "body", [{}, {"action": 3}, {"action": "undo", "more": 1}, {"action": "budget", "budget": "3"}, []]
)
def test_what_is_no_action_does_nothing(page, session, body):
    assert page.post("api/act", json=body).status_code == 404
    assert len(session.events) == 1


def test_the_files_of_the_page_are_all_there(page):
    html = page.get("").text
    for name in [part.split('"')[0] for part in html.split('="static/')[1:]]:
        answer = page.get(f"static/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith("text/"), name
    assert "style=" not in html
    assert "--accent" in page.get("static/page.css").text


def test_the_pool_is_told_once(page, session):
    pool = page.get("api/pool").json()
    assert pool["ids"] == list(session.rows)
    assert HOSTILE in pool["ids"]
    assert [c["name"] for c in pool["columns"]] == ["site"]
    assert pool["columns"][0]["names"] == ["site 0", "site 1", "site 2"]
    assert sorted(pool["closed"].values()) == ["excluded", "labelled"]
    assert not pool["pictures"]
    assert max(pool["typicality"]["percentile"]) == 100


def test_an_action_answers_with_the_state(page, session):
    gone = session.state.case_ids[1]
    state = page.post("api/act", json={"action": "veto", "case": gone, "why": "motion", "seq": 1}).json()
    assert state["vetoed"] == {str(session.rows[gone]): "motion"}
    assert state["changed"]
    assert state["undo"].startswith(f"vetoed {gone}; ")
    assert page.get("api/state").json()["picks"] == state["picks"]
    refused = page.post("api/act", json={"action": "veto", "case": gone, "why": "motion", "seq": 1})
    assert (refused.status_code, refused.json()["stale"]) == (409, True)
    refused = page.post("api/act", json={"action": "veto", "case": gone, "why": "motion"})
    assert (refused.status_code, refused.json()["message"]) == (409, f"{gone} is vetoed already: motion.")
    log = page.get("api/log").json()
    assert [(e["seq"], e["why"], e["undone"]) for e in log] == [(2, "motion", False), (1, "", False)]
    assert page.get("api/state").headers["server-timing"].startswith("app;dur=")


def test_a_batch_is_tried_without_being_chosen(page, session):
    tried = page.get("api/try", params={"budget": 6, "strategy": "random"}).json()
    assert (tried["budget"], tried["strategy"], len(tried["picks"])) == (6, "random", 6)
    assert page.get("api/try", params={"budget": 99, "strategy": "cscs"}).status_code == 409
    assert len(session.events) == 1


def test_a_pick_is_told_with_what_it_stands_for(page, session):
    pick = session.state.case_ids[1]
    told = page.get("api/alike", params={"case": pick}).json()
    x = standardise(session.chooser.table.embeddings)
    distance = np.linalg.norm(x - x[session.rows[pick]], axis=1)
    shut = {*session.state.case_ids, "c28", "c29"}
    ids = session.chooser.table.case_ids
    order = [i for i in np.argsort(distance) if ids[i] not in shut][:5]
    assert [n["row"] for n in told["nearest"]] == order
    assert told["nearest"][0]["distance"] == pytest.approx(distance[order[0]], rel=1e-3)
    state = page.post("api/act", json={"action": "veto", "case": pick, "why": "motion"}).json()
    assert state["picks"][1]["row"] == told["substitute"], "what was shown before is what came"
    assert page.get("api/alike", params={"case": pick}).json()["substitute"] is None
    assert page.get("api/alike", params={"case": "nobody"}).status_code == 404
    assert len(session.events) == 2


def test_the_list_is_downloaded_as_it_stands(page, results, session):
    assert page.get("api/selection.csv").text == (results / "selection.csv").read_text()
    page.post("api/act", json={"action": "budget", "budget": 6})
    rows = list(csv.DictReader(io.StringIO(page.get("api/selection.csv").text)))
    assert [r["case_id"] for r in rows] == list(session.state.case_ids)


def test_features_alone_have_no_pictures_and_say_why(page):
    assert page.get("api/picture", params={"case": "c01"}).headers["content-type"].startswith("image/svg")
    assert "hold features only" in page.get("api/scan", params={"case": "c01"}).json()["problem"]
    assert page.get("api/volume", params={"case": "c01", "channel": "0"}).status_code == 409


class TestWithScans:
    @pytest.fixture(autouse=True)
    def _with_scans(self, scans: Path) -> None:
        """Results that know their scans, before the page is opened."""

    @pytest.fixture
    def page(self, scans, opened):
        return opened[1]()

    @pytest.fixture
    def opened(self, scans, results):
        with held(results, Settings()) as holding:
            session = Session(holding)
            app = application(session, laid_out(holding, session), TOKEN)
            yield session, lambda: Page(app)

    def test_every_channel_can_be_looked_at(self, page, scans):
        scan = page.get("api/scan", params={"case": HOSTILE}).json()
        assert [c["name"] for c in scan["channels"]] == ["t1", "t2"]
        assert (scan["shape"], scan["spacing_mm"], scan["reduced"]) == ([10, 12, 8], [2.0, 2.0, 3.0], 1)
        for channel, kind in enumerate(("t1", "t2")):
            content = page.get("api/volume", params={"case": HOSTILE, "channel": str(channel)}).content
            image = nib.Nifti1Image.from_bytes(content)
            stored = nib.load(scans / f"00_{kind}.nii.gz")
            assert np.array_equal(
                np.asarray(image.dataobj)[::-1, ::-1], nib.as_closest_canonical(stored).get_fdata()
            ) or (
                np.array_equal(
                    nib.as_closest_canonical(image).get_fdata(), nib.as_closest_canonical(stored).get_fdata()
                )
            )
            assert np.allclose(nib.as_closest_canonical(image).affine, nib.as_closest_canonical(stored).affine)
            assert image.get_data_dtype() == np.int16
        for name in ("2", "-1", "t1", "../0"):
            assert page.get("api/volume", params={"case": HOSTILE, "channel": name}).status_code == 404

    def test_planes_and_slices_are_pictures(self, page):
        plane = Image.open(io.BytesIO(page.get("api/picture", params={"case": "c01", "plane": "sagittal"}).content))
        assert plane.size == (160, 160)
        for plane, size in (("axial", (20, 24)), ("coronal", (20, 24)), ("sagittal", (24, 24))):
            values = {"case": "c01", "channel": "1", "plane": plane, "place": 0.5}
            shape = Image.open(io.BytesIO(page.get("api/slice", params=values).content)).size
            assert shape[0] / shape[1] == pytest.approx(size[0] / size[1], rel=0.01)
        values = {"case": "c01", "channel": "1", "plane": "oblique", "place": 0.5}
        assert page.get("api/slice", params=values).status_code == 404
        for wrong in ("nan", "inf", "-inf", "1e999", "x"):
            for name in ("place", "low", "high"):
                values = {"case": "c01", "channel": "1", "plane": "axial", "place": 0.5, name: wrong}
                assert page.get("api/slice", params=values).status_code == 404, (name, wrong)

    def test_a_window_is_a_share_of_the_scans_own(self, page):
        values = {"case": "c01", "channel": "0", "plane": "axial", "place": 0.5}

        def brightness(low, high):
            answer = page.get("api/slice", params={**values, "low": low, "high": high})
            return np.asarray(Image.open(io.BytesIO(answer.content)), dtype=float).mean()

        assert page.get("api/slice", params=values).content == (
            page.get("api/slice", params={**values, "low": 0, "high": 1}).content
        )
        assert brightness(-1, 1) > brightness(0, 1) > brightness(0, 2)
        assert set(page.get("api/scan", params={"case": "c01"}).json()["channels"][0]) == {"name", "window", "range"}

    def test_slices_lie_as_radiologists_look_at_them(self, page, scans):
        stored = nib.as_closest_canonical(nib.load(scans / "01_t1.nii.gz")).get_fdata()
        values = {"case": "c01", "channel": "0", "plane": "axial", "place": 0.0}
        picture = np.asarray(Image.open(io.BytesIO(page.get("api/slice", params=values).content)))
        seen = stored[::-1, ::-1, 0].T  # RAS+ turned: the patient's right at the left, anterior at the top
        small = np.asarray(Image.fromarray(picture).resize(seen.shape[::-1], Image.Resampling.BOX), dtype=float)
        like = [np.corrcoef(small.ravel(), other.ravel())[0, 1] for other in (seen, seen[::-1], seen[:, ::-1])]
        assert like[0] > 0.9
        assert max(like[1:]) < 0.5

    def test_a_scan_that_has_gone_is_said_and_the_page_goes_on(self, page, scans, session):
        (scans / "01_t1.nii.gz").unlink()
        problem = page.get("api/scan", params={"case": "c01"}).json()["problem"]
        assert "c01 cannot be shown" in problem
        assert "Bring the file back" in problem
        assert page.get("api/picture", params={"case": "c01"}).headers["content-type"].startswith("image/svg")
        assert page.get("api/volume", params={"case": "c01", "channel": "0"}).status_code == 409
        assert page.get("api/scan", params={"case": "c02"}).json()["shape"] == [10, 12, 8]
        assert page.post("api/act", json={"action": "veto", "case": "c01", "why": "gone"}).status_code == 200

    def test_a_scan_that_has_changed_is_not_shown_for_another(self, page, scans):
        assert "shape" in page.get("api/scan", params={"case": "c01"}).json()
        (scans / "01_t2.nii.gz").write_bytes((scans / "02_t2.nii.gz").read_bytes())
        assert "has changed since" in page.get("api/scan", params={"case": "c01"}).json()["problem"]
        assert page.get("api/volume", params={"case": "c01", "channel": "1"}).status_code == 409

    def test_a_batch_is_handed_over_from_the_page_as_it_is(self, page, results, session):
        page.post("api/act", json={"action": "veto", "case": HOSTILE, "why": "no id of a source has a slash"})
        page.post("api/act", json={"action": "budget", "budget": 5})
        asked = {"target": "csv", "folder": "given-away", "readers": 2, "overlap": 1, "seq": session.state.seq}
        page.post("api/act", json={"action": "accept", "case": session.state.case_ids[1]})
        stale = page.post("api/handoff", json=asked)
        assert (stale.status_code, stale.json()["stale"]) == (409, True)
        asked["seq"] = session.state.seq
        for wrong in ({"readers": 0}, {"readers": 99}, {"overlap": -1}, {"target": "word"}, {"folder": " "}):
            assert page.post("api/handoff", json={**asked, **wrong}).status_code == 409, wrong
        assert page.post("api/handoff", json={**asked, "readers": "2"}).status_code == 404
        assert not (results.parent / "given-away").exists()
        source = results.parent / "source.csv"
        source.write_text(
            "\n".join(["case_id,path", *(f'"{i}",scans/{n:02d}_t1.nii.gz' for n, i in enumerate(session.rows))])
        )
        note_origin(results, results, IndexConfig.of(source=str(source)))
        done = page.post("api/handoff", json=asked).json()
        assert done["folder"] == str((results.parent / "given-away").resolve())
        assert "A folder a reader" in done["message"]
        dealt = list(csv.DictReader(io.StringIO((results.parent / "given-away" / "readers.csv").read_text())))
        assert [row["case_id"] for row in dealt] == list(session.state.case_ids)
        assert page.post("api/act", json={"action": "undo", "seq": asked["seq"]}).status_code == 200
        page.post("api/act", json={"action": "accept", "case": session.state.case_ids[1]})
        asked["seq"] = session.state.seq
        assert "csv" in page.get("api/pool").json()["handoff"]
        again = page.post("api/handoff", json={**asked, "readers": 1, "overlap": 0})
        assert (again.status_code, "another hand-off" in again.json()["message"]) == (409, True)

    def test_findings_are_shown_without_folders(self, page, scans):
        found = page.get("api/pool").json()["findings"]
        assert list(found.values()) == [["motion: strong ghosting in 01_t1.nii.gz"]]

    def test_an_export_holds_the_paths(self, page, results, scans):
        page.post("api/act", json={"action": "budget", "budget": 6})
        page.post("api/act", json={"action": "export"})
        rows = list(csv.DictReader(io.StringIO((results / "selection.csv").read_text())))
        assert len(rows) == 6
        assert all(row["path"].startswith(str(scans)) for row in rows)
        assert [r["case_id"] for r in rows] == list(fs.read_selection(results).case_ids)


def test_the_viewer_is_the_one_of_nilearn_and_can_be_missing(monkeypatch):
    path = application_module.niivue()
    assert path is not None
    assert path.parts[-4:] == ("nilearn", "_assets", "js", "niivue.umd.js")
    monkeypatch.setattr(application_module, "find_spec", lambda _name: None)
    assert application_module.niivue() is None


def test_the_map_is_kept(results, session):
    first = laid_out(session.held, session)
    kept = [p for p in (results / "work" / "review").iterdir() if p.suffix == ".npz"]
    assert len(kept) == 1
    again = laid_out(session.held, session)
    assert np.array_equal(first.xy, again.xy)
    assert (first.method, first.caption) == (again.method, again.caption)


def test_a_screen_is_needed_to_open_a_browser(monkeypatch):
    monkeypatch.setattr(server.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not server.has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert server.has_screen()


def test_the_server_says_what_it_lacks(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match=r"pip install 'fastapi>=0.115' 'uvicorn>=0.32'"):
        server.review(results, Settings(), port=0, show=False, ready=print)
    assert [e.action for e in History(results).events] == ["chosen"]


def test_a_port_in_use_is_named(results):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port} cannot be used"):
            server.review(results, Settings(), port=port, show=False, ready=print)
