# SPDX-License-Identifier: Apache-2.0
"""What a user may choose about the TensorRT engine."""

from __future__ import annotations

from dataclasses import dataclass

# TensorRT's own range: 0 builds fastest, 5 searches longest.
OPTIMIZATION_LEVELS = (0, 5)
# Beyond that an image takes hundreds of MB on the device; more likely a mistake.
LARGEST_SIDE = 16384
MOST_PERSONS = 1000


@dataclass(frozen=True)
class TensorRtOptions:
    """Options of build and run; the device's index, the buckets and CUDA graphs are not part of the
    plan.

    Attributes
    ----------
    device
        Index of the CUDA device, from 0.
    image_size
        (width, height) in pixels of the images that will come. A plan holds one size.
    typical_persons
        Number of persons that the kernels are chosen for.
    max_persons
        Most persons in one run of the engine; more are done in several runs.
    workspace_mib
        Most device memory for intermediate results, in MiB; 0 leaves the library's default.
    optimization_level
        How long the builder searches, from 0 (shortest) to 5.
    person_buckets
        Numbers of persons that the engine keeps ready, each with a context of its own: a group runs
        in the next larger one, and what is too much in the result is discarded. Empty: 1, 2, 4, 8
        and so on; ``max_persons`` is always one of them.
    cuda_graphs
        Whether each bucket's work is captured as a CUDA graph, which costs one launch instead of
        hundreds.
    plan_cache
        Folder of the compiled plans; empty takes ``$XDG_CACHE_HOME/hrnet_pose/plans`` or
        ``~/.cache/hrnet_pose/plans``.

    Raises
    ------
    ValueError
        A value is out of its range; the message names it.
    """

    device: int = 0
    image_size: tuple[int, int] = (1280, 720)
    typical_persons: int = 5
    max_persons: int = 20
    workspace_mib: int = 0
    optimization_level: int = 3
    person_buckets: tuple[int, ...] = ()
    cuda_graphs: bool = True
    plan_cache: str = ""

    @property
    def buckets(self) -> tuple[int, ...]:
        """The numbers of persons that are kept ready, in ascending order.

        Examples
        --------
        >>> TensorRtOptions(max_persons=20).buckets
        (1, 2, 4, 8, 16, 20)
        >>> TensorRtOptions(max_persons=6, person_buckets=(3, 12)).buckets
        (3, 6)
        """
        most = self.max_persons
        powers = (2**n for n in range(most.bit_length()))
        chosen = self.person_buckets or powers
        return tuple(sorted({*(n for n in chosen if n < most), most}))

    def __post_init__(self) -> None:
        if self.device < 0:
            raise ValueError(f"device must be the index of a CUDA device, got {self.device}")
        if len(self.image_size) != 2 or not all(1 <= s <= LARGEST_SIDE for s in self.image_size):
            raise ValueError(
                f"image_size must be (width, height) of 1 to {LARGEST_SIDE} px, "
                f"got {self.image_size}"
            )
        if not 1 <= self.max_persons <= MOST_PERSONS:
            raise ValueError(
                f"max_persons must be from 1 to {MOST_PERSONS}, got {self.max_persons}"
            )
        if not 1 <= self.typical_persons <= self.max_persons:
            raise ValueError(
                f"typical_persons must be from 1 to max_persons ({self.max_persons}), "
                f"got {self.typical_persons}"
            )
        if self.workspace_mib < 0:
            raise ValueError(
                f"workspace_mib must be at least 0 (0: the library's default), "
                f"got {self.workspace_mib}"
            )
        if any(count < 1 for count in self.person_buckets):
            raise ValueError(
                f"person_buckets must be numbers of persons from 1 on, got {self.person_buckets}"
            )
        least, most = OPTIMIZATION_LEVELS
        if not least <= self.optimization_level <= most:
            raise ValueError(
                f"optimization_level must be from {least} to {most}, got {self.optimization_level}"
            )
