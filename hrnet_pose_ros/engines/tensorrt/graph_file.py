# SPDX-License-Identifier: Apache-2.0
"""An end-to-end graph's file, and its plans."""

from __future__ import annotations

import hashlib

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_build import build_plan
from hrnet_pose_ros.engines.tensorrt.plan_cache import Built, Plan, PlanCache
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile


class End2EndGraphFile:
    """A file of ``hrnet_pose export --graph end2end``, for one TensorRT library."""

    def __init__(self, file: ModelFile, library: TensorRt) -> None:
        """ModelError where the file is not an end-to-end graph.

        Attributes: ``file``, ``library``, ``checksum`` (of the file) and ``metadata``.
        """
        self.file = file
        self.library = library
        self.checksum = file.checksum
        self.metadata = file.end2end()

    def key(self, target: GpuTarget, options: TensorRtOptions) -> PlanKey:
        """What the plan for these GPUs and options depends on.

        Raises ModelError where the graph is for images of another size than the options'.
        """
        name, fixed, wanted = self.metadata.model.name, self.metadata.image_size, options.image_size
        if fixed is not None and fixed != wanted:
            raise ModelError(
                f"the end-to-end graph of '{name}' is for images of {fixed[0]}x{fixed[1]} px, "
                f"expected {wanted[0]}x{wanted[1]} (width x height): set image_size to that, "
                "or export the graph for any image size"
            )
        return PlanKey(
            model=name,
            onnx_sha256=self.checksum,
            precision=self.metadata.precision,
            image_size=wanted,
            persons=(1, options.typical_persons, options.max_persons),
            library=self.library.name,
            library_version=self.library.version,
            target=target,
            workspace_mib=options.workspace_mib,
            optimization_level=options.optimization_level if self.library.searches else 0,
        )

    def obtain(
        self,
        plans: PlanCache,
        key: PlanKey,
        here: str | None,
        watch: BuildWatch,
        rejected: str = "",
    ) -> Plan:
        """A kept plan, or one built on this thread; arguments and errors as `PlanCache.obtain`.

        ``here`` is the compute capability of this thread's device, None without one.
        """

        def build(timings: bytes) -> Built:
            return build_plan(
                self.library, self._content(), key, here=here, watch=watch, timings=timings
            )

        return plans.obtain(key, build, watch, rejected)

    def _content(self) -> bytes:
        """The graph for the builder: exactly the one that the key's checksum is of."""
        path = self.file.path
        try:
            onnx = path.read_bytes()
        except OSError as error:
            raise ModelError(f"'{path}' cannot be read: {error.strerror}") from error
        if hashlib.sha256(onnx).hexdigest() != self.checksum:
            raise ModelError(f"'{path}' was changed since it was read: make the engine again")
        return onnx
