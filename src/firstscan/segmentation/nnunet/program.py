"""Find nnU-Net's programs and run one with its environment set for that call only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firstscan.domain.errors import DataError, UsageError

VARIABLE = "FIRSTSCAN_NNUNET"
LOG = "nnunet.log"
_TRAINERS = Path(__file__).parent / "trainers"
_TELL = """
from importlib.metadata import PackageNotFoundError, version
for name in ("nnunetv2", "torch", "pytorch_optimizer", "dynamic_network_architectures", "batchgeneratorsv2"):
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
"""
OLDEST = (2, 0)
"""The first version of nnU-Net that reads our data sets and their label ``ignore``."""
_NO_SPACE = ("No space left on device", "[Errno 28]")


@dataclass(frozen=True, slots=True)
class Program:
    """nnU-Net for one model folder; ``environment`` holds what every call sets besides the caller's own."""

    folder: Path
    model: Path
    environment: Mapping[str, str]

    def __call__(
        self,
        name: str,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Run one program to its end, hand each line it prints to ``on_line`` and keep all of them in a log.

        Raises
        ------
        DataError : it failed; the message quotes its last lines and names the log.
        """
        self.model.mkdir(parents=True, exist_ok=True)
        last: deque[str] = deque(maxlen=12)
        with (self.model / LOG).open("a", encoding="utf-8") as log:
            log.write(f"$ {name} {' '.join(arguments)}\n")
            with subprocess.Popen(
                [str(self.folder / name), *arguments],
                env={**os.environ, **self.environment, **(settings or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            ) as process:
                try:
                    for line in process.stdout or ():
                        log.write(line)
                        log.flush()
                        if line.strip():
                            last.append(line.rstrip())
                            on_line(line)
                except BaseException:
                    process.kill()
                    raise
        if process.returncode != 0:
            raise DataError(_failure(name, process.returncode, tuple(last), self.model / LOG))


def program(model: Path, *, folder: str, workers: int, device: str) -> Program:
    """Return nnU-Net's programs, with results below ``model``.

    Raises
    ------
    UsageError : nnU-Net is not installed where ``folder``, FIRSTSCAN_NNUNET or PATH point.
    """
    environment = {
        "nnUNet_raw": str((model / "raw").resolve()),
        "nnUNet_preprocessed": str((model / "preprocessed").resolve()),
        "nnUNet_results": str((model / "results").resolve()),
        "nnUNet_extTrainer": str(_TRAINERS),
        "nnUNet_def_n_proc": str(workers),
        "PYTHONUNBUFFERED": "1",
    }
    if device == "cpu":
        environment["nnUNet_compile"] = "0"
    return Program(find_programs(folder), model, environment)


def find_programs(folder: str) -> Path:
    """Return the folder of the ``nnUNetv2_*`` programs: below ``folder``, FIRSTSCAN_NNUNET, or on PATH.

    Raises
    ------
    UsageError : they are nowhere; the message says how to install them.
    """
    told = folder or os.environ.get(VARIABLE, "")
    places = [Path(told), Path(told) / "bin", Path(told) / "Scripts"] if told else []
    for place in places:
        if shutil.which("nnUNetv2_train", path=str(place)):
            return place
    on_path = None if told else shutil.which("nnUNetv2_train")
    if on_path:
        return Path(on_path).parent
    where = f"in {told}" if told else "on PATH"
    old = next((str(p) for p in places if shutil.which("nnUNet_train", path=str(p))), None)
    if old or (not told and shutil.which("nnUNet_train")):
        raise UsageError(_too_old("1", where))
    raise UsageError(
        f"nnU-Net is not installed: no program nnUNetv2_train {where}. Give it an environment of its own, for example "
        "`python -m venv nnunet` and `nnunet/bin/pip install nnunetv2 pytorch-optimizer`, then set "
        f"{VARIABLE} to that folder. Without it, use the segmenter unet."
    )


def require_version(folder: Path) -> None:
    """Raise UsageError where the nnU-Net in ``folder`` is older than :data:`OLDEST`; one that tells none may pass."""
    told = package_versions(folder).get("nnunetv2", "")
    numbers = re.match(r"(\d+)(?:\.(\d+))?", told)
    if numbers and (int(numbers[1]), int(numbers[2] or 0)) < OLDEST:
        raise UsageError(_too_old(told, f"in {folder}"))


def _too_old(version: str, where: str) -> str:
    wanted = ".".join(map(str, OLDEST))
    return (
        f"nnU-Net {version} {where} is too old: it has no label for voxels that nobody annotated (ignore) and reads "
        f"data sets of another form. Version {wanted} or newer is needed: `pip install --upgrade 'nnunetv2>={wanted}' "
        f"pytorch-optimizer` there, or in an environment that {VARIABLE} names. Without it, use the segmenter unet."
    )


def package_versions(folder: Path) -> dict[str, str]:
    """Return the versions of nnU-Net and what it computes with, as the Python beside its programs tells them."""
    python = shutil.which("python", path=str(folder))
    if python is None:
        return {}
    done = subprocess.run([python, "-c", _TELL], capture_output=True, text=True, check=False)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def _failure(name: str, code: int, last: tuple[str, ...], log: Path) -> str:
    if any(sign in line for line in last for sign in _NO_SPACE):
        return f"{name} stopped because the disk is full. Free some space and run the same command again to resume."
    reason = next((line for line in reversed(last) if "Error" in line), last[-1] if last else "no output")
    ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return f"{name} {ended}: {reason.strip()}. Its whole output is in {log}"


def _die_with_parent() -> None:
    """Ask Linux to end this child when firstscan is killed, so that a resumed run never meets an old one."""
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
