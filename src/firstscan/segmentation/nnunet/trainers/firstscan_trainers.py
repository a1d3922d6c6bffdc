"""nnU-Net trainers for honest small-budget comparisons; imported by nnU-Net, never by firstscan.

Settings arrive as environment variables of the one child process: ``FIRSTSCAN_SEED``, and where wanted
``FIRSTSCAN_EPOCHS`` and ``FIRSTSCAN_ITERATIONS`` (training steps an epoch).
"""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class FirstscanTrainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's default (SGD, polynomial decay), seeded, and without a validation on its own training scans."""

    default_epochs = 1000
    default_iterations = 250
    validation_iterations = 5

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net's own signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        seed = int(os.environ.get("FIRSTSCAN_SEED", "0"))
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - nnU-Net's loaders use the global generator
        torch.manual_seed(seed)
        self.num_epochs = int(os.environ.get("FIRSTSCAN_EPOCHS", self.default_epochs))
        self.num_iterations_per_epoch = int(os.environ.get("FIRSTSCAN_ITERATIONS", self.default_iterations))
        self.num_val_iterations_per_epoch = self.validation_iterations
        self.save_every = max(1, min(25, self.num_epochs // 10))

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Skip it: every pick trains, so a validation would only measure memory."""
        del save_probabilities
        self.print_to_log_file("No validation: all picks train and the last checkpoint is used.")

    def plot_network_architecture(self) -> None:
        """Draw nothing: the picture needs a program that is rarely there."""


class FirstscanTrainerShort(FirstscanTrainer):
    """The default trainer cut down to minutes on a CPU: 10 epochs of 25 steps."""

    default_epochs = 10
    default_iterations = 25
    validation_iterations = 1


class FirstscanTrainerPaper(FirstscanTrainer):
    """The paper's downstream: Ranger21, initial learning rate 1e-3, Dice + CE without smoothing, 250 epochs."""

    default_epochs = 250

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """Return Ranger21, which warms up and cools down by itself, and a schedule that leaves it alone."""
        from pytorch_optimizer import Ranger21

        self.initial_lr = 1e-3
        optimizer = Ranger21(
            self.network.parameters(),
            num_iterations=self.num_epochs * self.num_iterations_per_epoch,
            lr=self.initial_lr,
            weight_decay=self.weight_decay,
        )
        return optimizer, _LeftToTheOptimizer()

    def _build_loss(self) -> torch.nn.Module:
        if self.label_manager.has_regions:
            raise ValueError("the paper's loss is defined for classes, not for overlapping regions")
        loss: torch.nn.Module = DC_and_CE_loss(
            {"batch_dice": self.configuration_manager.batch_dice, "smooth": 0.0, "do_bg": False, "ddp": self.is_ddp},
            {},
            weight_ce=1,
            weight_dice=1,
            ignore_label=self.label_manager.ignore_label,
            dice_class=MemoryEfficientSoftDiceLoss,
        )
        if not self.enable_deep_supervision:
            return loss
        weights = np.array([1 / 2**i for i in range(len(self._get_deep_supervision_scales()))])
        weights[-1] = 0
        wrapped: torch.nn.Module = DeepSupervisionWrapper(loss, weights / weights.sum())
        return wrapped


class _LeftToTheOptimizer:
    """A schedule that changes nothing: Ranger21 holds its own."""

    def step(self, epoch: int) -> None:
        """Do nothing."""
