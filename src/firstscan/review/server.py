"""From a results folder to a page that is served until someone ends it."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.report.charts.maps import PoolMap, pool_map
from firstscan.steps.running.run import Settings
from firstscan.steps.steering.disagreement import Disagreements
from firstscan.steps.steering.review import Held, held
from firstscan.store import CaseCache, identity

from .session import Session

HOST = "127.0.0.1"
EXTRA = (
    "The review page needs two packages that are not installed here. Install them with:\n"
    "  pip install 'fastapi>=0.115' 'uvicorn>=0.32'\n"
    "or, in a checkout of firstscan: pip install '.[review]'"
)


def review(out: Path, settings: Settings, *, port: int, show: bool, ready: Callable[[str], None]) -> None:
    """Serve the review page of ``out`` until it is interrupted; ``ready`` is told its address.

    ``port`` 0 lets the system choose one; ``show`` opens the address in a browser where there is a screen.

    Raises
    ------
    UsageError : no finished batch, another run holds it, the port is taken, packages are missing.
    KeyboardInterrupt : someone has ended it.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(EXTRA) from error
    here = replace(settings, workers=1)  # a few pictures are drawn before another process has started
    with held(out, here) as opened, _listening(port) as listening:
        from .app import application
        from .gallery import Thumbnails
        from .security import new_token

        session, token = Session(opened), new_token()
        for note in session.notes:
            settings.progress.say(f"Note: {note}.")
        maps, pictures = Disagreements(opened), Thumbnails(opened)
        app = application(session, laid_out(opened, session), token, maps, pictures)
        config = uvicorn.Config(
            app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=2
        )
        address = f"http://{HOST}:{listening.getsockname()[1]}/{token}/"
        ready(address)
        if show and has_screen():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        try:
            with pictures:
                _served(config, listening, (pictures.close, maps.close))
        finally:
            maps.close()
            session.settle()
        raise KeyboardInterrupt  # also where whoever started us ignores it, as a shell does in the background


def _served(config: Any, listening: socket.socket, ends: Sequence[Callable[[], None]]) -> None:
    """Serve until a signal comes; then end what requests may still wait for, so that none is left unanswered."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            for end in ends:
                threading.Thread(target=end, daemon=True).start()
            super().handle_exit(sig, frame)

    Server(config).run(sockets=[listening])


def laid_out(opened: Held, session: Session) -> PoolMap:
    """Return the report's map of the pool; it is made once and kept, as far as the folder of caches is."""
    table, seed = session.chooser.table, opened.batch.selection.seed
    key = identity(__version__, hashlib.sha256(table.embeddings.tobytes()).hexdigest(), seed)
    cache = CaseCache(opened.run.workspace.folder("review"))
    path = cache.path("map", key, ".npz")
    kept = cache.read_or_none(path, _read_map)
    if isinstance(kept, PoolMap):
        return kept
    with opened.run.stage("Laying out the map", 1) as progress:
        layout = pool_map(table.embeddings, seed=seed)
        progress.advance()
    cache.write_arrays(path, xy=layout.xy, words=np.array([layout.method, layout.caption]))
    return layout


def _read_map(path: Path) -> PoolMap:
    with np.load(path, allow_pickle=False) as kept:
        method, caption = (str(w) for w in kept["words"])
        return PoolMap(kept["xy"], method, caption)


def has_screen() -> bool:
    """Tell whether a browser window can be opened here."""
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"--port {port} cannot be used ({reason}); give another, or leave it out") from error
