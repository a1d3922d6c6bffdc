"""nnU-Net v2, run as a program: plans from the picks only, every pick trains, for any budget."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from firstscan.domain.errors import DataError, UsageError
from firstscan.segmentation.dataset import ENDING, RawDataset, check_dataset, list_images, read_dataset
from firstscan.segmentation.protocol import Progress, silent
from firstscan.segmentation.whole import is_whole

from .program import Program, find_programs, package_versions, program, require_version
from .raw import link_dataset

DATASET = "Dataset001_Picks"
TRAINERS = {
    "default": "FirstscanTrainer",
    "paper": "FirstscanTrainerPaper",
    "short": "FirstscanTrainerShort",
}
"""Trainers of ours by short name; any other name is looked up among nnU-Net's own."""

_EPOCHS = {"default": 1000, "paper": 250, "short": 10}
_FOLD = "0"
_DONE = "trained.json"


class NnUnet(BaseModel, frozen=True, extra="forbid"):
    """Settings of one nnU-Net run; ``device``, ``workers`` and ``folder`` say where it runs and change no result.

    ``trainer``: ``default`` (SGD, polynomial decay, 1000 epochs), ``paper`` (Ranger21, 1e-3, Dice + CE without
    smoothing, 250 epochs), ``short`` (minutes on a CPU), or the class name of a trainer that nnU-Net knows; such a one
    takes no seed.
    """

    name: ClassVar[str] = "nnunet"
    execution: ClassVar[frozenset[str]] = frozenset({"device", "workers", "folder"})

    trainer: str = Field("paper", description="default, paper, short, or a trainer class that nnU-Net knows")
    configuration: Literal["2d", "3d_fullres", "3d_lowres"] = Field("3d_fullres", description="nnU-Net configuration")
    epochs: int | None = Field(None, ge=1, description="epochs instead of the trainer's own number")
    iterations: int | None = Field(None, ge=1, description="training steps an epoch instead of 250")
    mirroring: bool = Field(True, description="average predictions over mirrored scans")
    device: Literal["cpu", "cuda", "mps"] = Field("cpu", description="where it runs")
    workers: int = Field(1, ge=1, description="processes for preprocessing and prediction")
    folder: str = Field("", description="folder of the nnUNetv2_* programs; default FIRSTSCAN_NNUNET, then PATH")

    @model_validator(mode="after")
    def _only_ours_can_be_shortened(self) -> NnUnet:
        if self.trainer not in TRAINERS and (self.epochs or self.iterations):
            raise ValueError(
                f"epochs and iterations are read by the trainers {', '.join(TRAINERS)}, not by {self.trainer}; "
                "leave them out, or name one of these trainers"
            )
        return self

    @property
    def fills_machine(self) -> bool:
        """Always: it uses every core, or the GPU."""
        return True

    def check(self) -> None:
        """Find nnU-Net's programs.  Raises UsageError where they are not installed, or too old."""
        require_version(find_programs(self.folder))

    def load(self) -> None:
        """Do nothing: it runs as a program of its own."""

    def versions(self) -> dict[str, str]:
        """Return the versions in nnU-Net's environment; nothing where it is not installed."""
        try:
            return package_versions(find_programs(self.folder))
        except UsageError:
            return {}

    def train(self, dataset: Path, model: Path, *, seed: int, progress: Progress = silent) -> None:
        """Plan, preprocess and train on every case; an interrupted training continues from its last checkpoint.

        Raises
        ------
        DataError : labels that cannot be trained on, or nnU-Net failed; the message quotes its last lines.
        UsageError : nnU-Net is not installed, or too old.
        """
        self.check()
        raw = read_dataset(dataset)
        absent = check_dataset(raw)
        run = self._program(model)
        if (model / _DONE).exists():
            return
        link_dataset(raw, model / "raw" / DATASET)
        if not (model / "preprocessed" / DATASET / "splits_final.json").exists():
            shutil.rmtree(model / "preprocessed", ignore_errors=True)
            progress(0, 1, "planning and preprocessing")
            # fmt: off
            run("nnUNetv2_plan_and_preprocess", "-d", "1", "-c", self.configuration, "-np", str(self.workers),
                "-npfp", str(self.workers), "--verify_dataset_integrity", "--no_pbar")
            # fmt: on
            write_split(raw, model / "preprocessed" / DATASET)
        arguments = ["1", self.configuration, _FOLD, "-tr", self.trainer_class, "-device", self.device]
        if any(model.glob(f"results/{DATASET}/*/fold_{_FOLD}/checkpoint_*.pth")):
            arguments.append("--c")
        told_epochs = _Epochs(progress, self.epochs or _EPOCHS.get(self.trainer, 0))
        run("nnUNetv2_train", *arguments, settings=self._training(seed), on_line=told_epochs)
        told = {"absent_classes": list(absent), "seed": seed, "channels": len(raw.channel_names)}
        (model / _DONE).write_text(json.dumps(told), encoding="utf-8")

    def predict(self, model: Path, images: Path, out: Path, *, progress: Progress = silent) -> None:
        """Predict with the last checkpoint; scans predicted already are kept.

        Raises
        ------
        DataError : no trained model, or a scan without a prediction.
        """
        try:
            told = json.loads((model / _DONE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{model} holds no trained nnU-Net; train one first with: firstscan train") from None
        found = list_images(images, told["channels"])
        out.mkdir(parents=True, exist_ok=True)
        for cut in [path for path in out.glob(f"*{ENDING}") if not is_whole(path)]:
            cut.unlink()  # of a run that was killed, or met a full disk
        # fmt: off
        arguments = ["-i", str(images), "-o", str(out), "-d", "1", "-c", self.configuration, "-f", _FOLD,
                     "-tr", self.trainer_class, "-device", self.device, "-npp", str(self.workers),
                     "-nps", str(self.workers), "--continue_prediction", "--disable_progress_bar"]
        # fmt: on
        if not self.mirroring:
            arguments.append("--disable_tta")

        def count(line: str) -> None:
            if line.startswith("Predicting "):
                done = sum(1 for _ in out.glob(f"*{ENDING}"))
                progress(min(done, len(found)), len(found), line.removeprefix("Predicting ").rstrip(":"))

        self._program(model)("nnUNetv2_predict", *arguments, on_line=count)
        missing = [name for name in found if not (out / f"{name}{ENDING}").exists()]
        if missing:
            raise DataError(f"nnU-Net predicted nothing for {len(missing)} scan(s): {', '.join(missing[:5])}")
        progress(len(found), len(found), "predicted")

    @property
    def trainer_class(self) -> str:
        """Name of the trainer class that nnU-Net looks up."""
        return TRAINERS.get(self.trainer, self.trainer)

    def _program(self, model: Path) -> Program:
        return program(model, folder=self.folder, workers=self.workers, device=self.device)

    def _training(self, seed: int) -> dict[str, str]:
        """Return the settings that our trainers read; on a CPU scans are augmented in the same process, in order."""
        wanted = {"FIRSTSCAN_SEED": seed, "FIRSTSCAN_EPOCHS": self.epochs, "FIRSTSCAN_ITERATIONS": self.iterations}
        in_order = {"nnUNet_n_proc_DA": "0"} if self.device == "cpu" else {}
        return {k: str(v) for k, v in wanted.items() if v is not None} | in_order


def write_split(raw: RawDataset, folder: Path) -> None:
    """Write the only split: train = validation = the picks, so that none is lost and no checkpoint is chosen on it."""
    names = [case.name for case in raw.cases]
    part = folder / "splits_final.part"
    part.write_text(json.dumps([{"train": names, "val": names}], indent=1), encoding="utf-8")
    part.replace(folder / "splits_final.json")


class _Epochs:
    """Turns nnU-Net's log lines into progress: ``Epoch 3`` and the loss that follows it."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self._progress, self._epochs, self._now = progress, epochs, 0

    def __call__(self, line: str) -> None:
        text = line.split(": ", 1)[-1].strip()
        word, _, rest = text.partition(" ")
        if word == "Epoch" and rest.strip().isdigit():
            self._now = int(rest) + 1
            self._progress(self._now - 1, max(self._epochs, self._now), f"epoch {self._now}")
        elif word == "train_loss":
            self._progress(self._now, max(self._epochs, self._now), f"epoch {self._now}, loss {rest.strip()}")
