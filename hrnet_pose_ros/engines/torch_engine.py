# SPDX-License-Identifier: Apache-2.0
"""The network by PyTorch on the CPU: the reference that other engines are compared with."""

from __future__ import annotations

import logging
import platform

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError, EngineInfo
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH, HeatmapEngine
from hrnet_pose_ros.model_files.find import metadata_beside
from hrnet_pose_ros.model_files.metadata import ModelMetadata, usual_target_sigma
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.model_files.zoo import ZooEntry, entry_of
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.pose.decoding import Method
from hrnet_pose_ros.skeleton import SkeletonDefinition
from hrnet_pose_ros.version import VERSION

_log = logging.getLogger(__name__)


class TorchEngine(HeatmapEngine):
    """Runs a checkpoint in float32.

    A checkpoint holds weights alone. What else belongs to them is known from the zoo, or from
    ``NAME.onnx`` beside ``NAME.pth`` where it was exported from that very file; its calibration is
    applied where it is of the same weights.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        input_size: tuple[int, int] | None = None,
        colour_order: str | None = None,
        skeleton: SkeletonDefinition | None = None,
        crop: CropRule | None = None,
        decoding: Method = "quarter",
        flip_test: bool = False,
        max_batch: int = DEFAULT_MAX_BATCH,
        threads: int = 0,
    ) -> None:
        """Load a checkpoint.

        Parameters
        ----------
        file
            A pose checkpoint in any layout that `load_pose_network` reads.
        input_size
            (width, height) of the crops in pixels. None takes what the zoo or the exported file
            says, else 256x192 (height x width).
        colour_order
            Order of the channels that the weights were trained on. None takes what the zoo or the
            exported file says, else "rgb" for an HRNet.
        skeleton
            The definition of the joints. None takes what the zoo or the exported file says, else
            what the checkpoint contains, or COCO's for 17 joints.
        crop
            Crop rule that the weights were trained with. None takes what the zoo or the exported
            file says, else "reference".
        decoding
            How key points are read from heatmaps.
        flip_test
            Whether every crop is also run mirrored.
        max_batch
            Most crops the network sees at a time.
        threads
            CPU threads, for all of PyTorch in this process; 0 leaves them as they are.

        Raises
        ------
        EngineError
            PyTorch is not installed.
        CheckpointError
            The file is not a pose checkpoint (a ValueError; see network/checkpoints.py).
        ModelError
            The network's heatmaps are not a quarter of the crop, or nobody says the colour order
            of a SimpleBaseline.
        """
        try:
            import torch
        except ImportError as error:
            raise EngineError(
                f"PyTorch cannot be imported ({error}): pip install 'hrnet_pose_ros[torch]'"
            ) from error
        from hrnet_pose_ros.network.checkpoints import checkpoint_skeleton, load_pose_network
        from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
        from hrnet_pose_ros.network.pose_networks import (
            check_stride,
            joints_of,
            usual_colour_order,
        )

        network = load_pose_network(file.path)
        check_stride(network)
        beside = metadata_beside(file.path)
        known: ZooEntry | ModelMetadata | None = entry_of(file)
        if known is None and beside is not None and beside.checkpoint_sha256 == file.checksum:
            known = beside
        if known is None:
            input_size = input_size or (192, 256)
            colour_order = colour_order or usual_colour_order(network)
            crop = crop or "reference"
            _log.warning(
                "neither the zoo nor an exported file beside it knows '%s': it is taken for a "
                "network of %dx%d (HxW), %s pictures and crop rule '%s'",
                *(file.path, input_size[1], input_size[0], colour_order, crop),
            )
        else:
            input_size = input_size or known.input_size
            colour_order = colour_order or known.colour_order
            crop = crop or known.crop
            said = known.definition if isinstance(known, ZooEntry) else known.skeleton
            skeleton = skeleton or said
        skeleton = checkpoint_skeleton(file.path, joints_of(network), skeleton)
        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._network: HeatmapNetwork | None = HeatmapNetwork(network, colour_order).eval()
        super().__init__(
            metadata=ModelMetadata(
                name=file.path.stem,
                configuration=network.configuration.name,
                input_width=input_size[0],
                input_height=input_size[1],
                target_sigma=known.target_sigma if known else usual_target_sigma(input_size),
                flip_shift=crop == "reference" and (known.flip_shift if known else True),
                checkpoint_sha256=file.checksum,
                package_version=VERSION,
                colour_order=colour_order,
                skeleton=skeleton,
                crop=crop,
            ).with_calibrations_of(beside),
            decoding=decoding,
            max_batch=max_batch,
            info=EngineInfo(
                model=file.path.stem,
                engine="torch",
                device=platform.processor() or platform.machine(),
                precision="float32",
                decoding=decoding,
                checksum=file.checksum,
                input_width=input_size[0],
                input_height=input_size[1],
                flip_test=flip_test,
            ),
        )

    def _run(self, crops: np.ndarray) -> np.ndarray:
        assert self._network is not None  # checked by heatmaps()
        with self._torch.inference_mode():
            heatmaps: np.ndarray = self._network(self._torch.from_numpy(crops)).numpy()
        return heatmaps

    def close(self) -> None:
        super().close()
        self._network = None
