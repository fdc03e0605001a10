# SPDX-License-Identifier: Apache-2.0
"""The training loop of one stage, which can be interrupted at any time and resumed exactly.

The state of a training consists of the step, the weights, their average and the optimizer.
Everything else (crop order, augmentation, learning rate) is a function of the step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.network.checkpoint_files import CheckpointError
from hrnet_pose_ros.network.checkpoints import SKELETON_KEY
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.network.pose_networks import PoseNetwork
from hrnet_pose_ros.pose.boxes import cell_pitch
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.skeleton import COCO17
from hrnet_pose_ros.training.config import StageConfig
from hrnet_pose_ros.training.dataset import Batch, CropDataset
from hrnet_pose_ros.training.ema import AveragedWeights
from hrnet_pose_ros.training.learning_curves import LearningCurves
from hrnet_pose_ros.training.sampling import CropSchedule, StepBatchSampler
from hrnet_pose_ros.training.schedule import rate_factor
from hrnet_pose_ros.training.targets import heatmap_loss, joint_losses, target_heatmaps
from hrnet_pose_ros.training.validation import ValidationCrops, validate

LOG_STEPS = 20  # steps between two rows of the learning curves
LAST, BEST = "last.ckpt", "best.pth"


@dataclass(frozen=True)
class StageData:
    """The training and validation data of a stage."""

    crops: CropDataset
    order: CropSchedule
    validation: ValidationCrops
    workers: int


class StageTraining:
    """The training of ``network`` through one stage, in ``folder``.

    ``folder`` contains ``last.ckpt``, from which the training resumes, and ``best.pth``: the
    averaged weights of the best validation, a state dict that `hrnet_pose export` accepts, with the
    definition of a skeleton other than COCO's.

    ``checkpoint_steps`` is the number of steps between two checkpoints.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: PoseNetwork,
        stage: StageConfig,
        data: StageData,
        folder: Path,
        curves: LearningCurves,
        checkpoint_steps: int,
    ) -> None:
        self.fabric, self.stage, self.data = fabric, stage, data
        self.folder, self.curves, self.checkpoint_steps = folder, curves, checkpoint_steps
        self.skeleton = data.validation.annotations.skeleton
        stride = network.configuration.stride
        self.heatmap_size = (stage.size[0] // stride, stage.size[1] // stride)
        self.pitch = cell_pitch(stage.size, self.heatmap_size, data.crops.crop).tolist()
        self.joint_weights = torch.tensor(
            [stage.joint_weights.get(joint, 1.0) for joint in self.skeleton.joint_names],
            device=fabric.device,
        )
        self.steps_per_epoch = data.order.steps_per_epoch(stage.batch)
        self.steps = stage.epochs * self.steps_per_epoch
        whole = HeatmapNetwork(network).to(fabric.device, memory_format=torch.channels_last)
        self.average = AveragedWeights(whole, stage.average_decay)
        optimizer = torch.optim.AdamW(
            network.parameters(), stage.learning_rate, weight_decay=stage.weight_decay
        )
        self.network = network
        self.whole, self.optimizer = fabric.setup(whole, optimizer)
        self.step, self.best = 0, -1.0
        # Over the steps since the last row of the learning curves.
        self.loss, self.counted = torch.zeros((), device=fabric.device), 0

    def run(self) -> dict[str, Tensor]:
        """Train to the end of the stage; returns the averaged weights.

        Raises
        ------
        RuntimeError
            The loss is no longer finite.
        CheckpointError
            The checkpoint in ``folder`` is damaged.
        ValueError
            The validation data have no labelled person.
        """
        self._restore()
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.curves.truncate_after(self.stage.name, self.step)
        self.whole.train()
        bar = self._bar()
        begun, first = time.monotonic(), self.step
        for batch in self._batches():
            self._train(batch)
            bar.update()
            validating = self._validation_is_due()
            if self.step % LOG_STEPS == 0 or validating:
                rate = (self.step - first) * self.stage.batch / (time.monotonic() - begun)
                self._add_row(bar, rate)
                begun, first = time.monotonic(), self.step
            if validating:
                self._validate(bar)
                begun, first = time.monotonic(), self.step
            if validating or self.step % self.checkpoint_steps == 0:
                self._save()
        bar.close()
        return weights_of(self.average.network)

    def _batches(self) -> Iterator[Batch]:
        batches = StepBatchSampler(
            self.data.order,
            self.stage.batch,
            range(self.step, self.steps),
            self.fabric.global_rank,
            self.fabric.world_size,
        )
        workers = self.data.workers
        return iter(
            torch.utils.data.DataLoader(
                self.data.crops,
                sampler=batches,
                batch_size=None,  # the sampler yields whole batches
                num_workers=workers,
                prefetch_factor=4 if workers else None,
                pin_memory=self.fabric.device.type == "cuda",
            )
        )

    def _train(self, batch: Batch) -> None:
        stage = self.stage
        for group in self.optimizer.param_groups:
            group["lr"] = stage.learning_rate * rate_factor(
                self.step, self.steps, self.steps_per_epoch, stage
            )
        crops, keypoints, weights = (
            part.to(self.fabric.device, non_blocking=True) for part in batch
        )
        targets, weights = target_heatmaps(
            keypoints,
            weights,
            self.heatmap_size,
            stage.sigma,
            stage.subpixel_centre,
            self.pitch,
        )
        losses = joint_losses(self.whole(crops), targets, weights, stage.peak_weight)
        loss = heatmap_loss(losses, stage.hardest_joints, self.joint_weights)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        # The averaged copy of the heatmap network also contains the normalisation constants.
        self.average.update(self.whole.module)
        self.loss += loss.detach()
        self.counted += 1
        self.step += 1

    def _add_row(self, bar: tqdm, rate: float) -> None:
        mean = self.loss / self.counted
        loss = torch.as_tensor(self.fabric.all_reduce(mean, reduce_op="mean")).item()
        self.loss.zero_()
        self.counted = 0
        if not loss < float("inf"):
            raise RuntimeError(
                f"stage {self.stage.name!r}: the loss is {loss} at step {self.step}; lower "
                f"learning_rate ({self.stage.learning_rate:g}) or use more warm_up_steps"
            )
        bar.set_postfix(loss=f"{loss:.2e}", best_AP=f"{max(self.best, 0):.3f}")
        if self.fabric.is_global_zero:
            row = {
                "learning_rate": f"{self.optimizer.param_groups[0]['lr']:.4g}",
                "loss": f"{loss:.6e}",
                "crops_per_s": f"{rate:.1f}",
            }
            self.curves.add(self._place() | row)

    def _place(self) -> dict[str, object]:
        epoch = self.step / self.steps_per_epoch
        return {"stage": self.stage.name, "step": self.step, "epoch": f"{epoch:.3f}"}

    def _validation_is_due(self) -> bool:
        interval = self.stage.validate_epochs * self.steps_per_epoch
        return self.step % interval == 0 or self.step == self.steps

    def _validate(self, bar: tqdm) -> None:
        if self.fabric.world_size > 1:
            # Each process has seen other crops, so running statistics differ: use those of rank 0.
            for value in self.average.network.state_dict().values():
                torch.distributed.broadcast(value, 0)
        found = validate(
            self.average.network, self.data.validation, self.fabric, max(1, self.stage.batch)
        )
        better = found["AP"] > self.best
        self.best = max(found["AP"], self.best)
        if not self.fabric.is_global_zero:
            return
        self.curves.add(self._place() | {name: f"{value:.4f}" for name, value in found.items()})
        self.curves.plot()
        figures = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        bar.write(f"{self.stage.name}, step {self.step} of {self.steps}: {figures}")
        if better:
            with replacing(self.folder / BEST) as partial:
                torch.save(self._best(), partial)

    def _best(self) -> dict[str, Any]:
        """The content of ``best.pth``; it loads where there is no GPU."""
        weights = {name: value.cpu() for name, value in weights_of(self.average.network).items()}
        if self.skeleton == COCO17:
            return weights
        return {"state_dict": weights, SKELETON_KEY: self.skeleton.to_json()}

    def _bar(self) -> tqdm:
        if not self.fabric.is_global_zero:
            return tqdm(disable=True)
        bar = progress(self.stage.name, "step", self.steps)
        bar.initial = bar.n = bar.last_print_n = self.step
        return bar

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            content = {
                "step": self.step,
                "best": self.best,
                "loss": float(self.loss),
                "counted": self.counted,
                "network": self.network.state_dict(),
                "average": weights_of(self.average.network),
                "updates": self.average.updates,
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
            }
            with replacing(self.folder / LAST) as partial:
                torch.save(content, partial)

    def _restore(self) -> None:
        path = self.folder / LAST
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location=self.fabric.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.network.network.load_state_dict(state["average"])
            self.average.updates = state["updates"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])
            self.step, self.best = state["step"], state["best"]
            self.loss.fill_(state["loss"])
            self.counted = state["counted"]
        except Exception as error:  # a damaged file raises whatever its bytes lead to
            raise CheckpointError(
                f"'{path}' cannot be resumed from, it is damaged or of another network "
                f"({type(error).__name__}); remove it to train stage {self.stage.name!r} anew"
            ) from error


def weights_of(whole: HeatmapNetwork) -> dict[str, Tensor]:
    """The weights of the pose network under their published names, without the normalisation."""
    return whole.network.state_dict()
