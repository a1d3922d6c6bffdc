from pathlib import Path

from firstscan.cli import run


def test_about_tells_versions_and_no_folder(capsys):
    assert run(["about"]) == 0
    told = capsys.readouterr().out
    for name in ("firstscan", "python", "torch", "system", "processors", "threads", "GPU"):
        assert any(line.startswith(name) for line in told.splitlines()), name
    assert str(Path.home()) not in told
