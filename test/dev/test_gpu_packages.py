# SPDX-License-Identifier: Apache-2.0
"""Which TensorRT and cuda-python a machine with a GPU gets for `make test-gpu` and `make bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.gpu_packages import Gpu, gpu_at_hand, requirements

CUDA12, CUDA13 = "cuda-python>=12,<13", "cuda-python>=13,<14"


@pytest.mark.parametrize(
    ("cuda", "capability", "machine", "jetson", "expected"),
    [
        ((12, 4), (9, 0), "x86_64", False, [CUDA12, "tensorrt-cu12>=10.3"]),  # H100
        ((13, 0), (10, 0), "x86_64", False, [CUDA13, "tensorrt-cu13>=10.3"]),  # B200
        ((13, 2), (8, 9), "x86_64", False, [CUDA13, "tensorrt-cu13>=10.3"]),  # RTX 4090
        ((14, 0), (12, 0), "x86_64", False, [CUDA13, "tensorrt-cu13>=10.3"]),
        ((12, 6), (8, 7), "aarch64", True, [CUDA12]),  # JetPack 6: its own TensorRT
        ((13, 2), (11, 0), "aarch64", True, [CUDA13]),  # JetPack 7 on Thor
        ((13, 0), (9, 0), "aarch64", False, [CUDA13, "tensorrt-cu13>=10.3"]),  # Grace Hopper
    ],
)
def test_packages_of_a_gpu(
    cuda: tuple[int, int],
    capability: tuple[int, int],
    machine: str,
    jetson: bool,
    expected: list[str],
) -> None:
    assert requirements(Gpu(cuda, capability), machine, jetson) == expected


@pytest.mark.parametrize(
    ("gpu", "machine", "words"),
    [
        (Gpu((11, 8), (8, 6)), "x86_64", r"the driver knows CUDA 11\.8"),
        (Gpu((12, 4), (7, 0)), "x86_64", r"compute capability 7\.0"),
        (Gpu((12, 4), (9, 0)), "aarch64", "use CUDA 13"),
    ],
)
def test_nothing_fits(gpu: Gpu, machine: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        requirements(gpu, machine, jetson=False)


def test_no_driver() -> None:
    assert gpu_at_hand("libnone_of_this_name.so.1") is None


def test_the_targets_that_run_on_a_gpu_take_them(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    for target in ("test-gpu", "bench"):
        recipe = makefile.split(f"\n{target}:\n")[1].split("\n\n")[0]
        assert "dev/setup_gpu.sh" in recipe
        assert 'PYTHONPATH="$$PWD/.dev/gpu:' in recipe  # before the locked ones
