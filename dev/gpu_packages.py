# SPDX-License-Identifier: Apache-2.0
"""Prints the pip requirements that the GPU at hand needs, for ``make test-gpu`` and ``make bench``.

Standard library only; asks the driver's libcuda, which is on every machine with a GPU, Jetson
included. Prints nothing where there is no GPU. On Jetson, TensorRT is JetPack's: the second line of
the output is then the folder of its Python module.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

JETSON = Path("/etc/nv_tegra_release")
# Attributes of cuDeviceGetAttribute.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True)
class Gpu:
    """The CUDA version that the driver knows (12 or 13 is its major), and the first GPU's compute
    capability."""

    cuda: tuple[int, int]
    capability: tuple[int, int]


def gpu_at_hand(library: str = "libcuda.so.1") -> Gpu | None:
    """What the driver says; None without a driver or a GPU."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    version, count, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    parts = (ctypes.c_int(), ctypes.c_int())
    failed = (
        cuda.cuInit(0)
        or cuda.cuDriverGetVersion(ctypes.byref(version))
        or cuda.cuDeviceGetCount(ctypes.byref(count))
        or not count.value
        or cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDeviceGetAttribute(ctypes.byref(parts[0]), _MAJOR, device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(parts[1]), _MINOR, device)
    )
    if failed:
        return None
    number = version.value
    return Gpu((number // 1000, number % 1000 // 10), (parts[0].value, parts[1].value))


def requirements(gpu: Gpu, machine: str, jetson: bool) -> list[str]:
    """What to install for a GPU.

    Plain TensorRT runs on every GPU from compute capability 7.5 on; TensorRT for RTX, which the
    test environment has for its builds, on some of them.

    Raises
    ------
    ValueError
        Nothing fits the driver or the GPU; the message says what would.
    """
    if gpu.cuda[0] < 12:
        raise ValueError(
            f"the driver knows CUDA {_dotted(gpu.cuda)}; install one for CUDA 12 or 13"
        )
    if gpu.capability < (7, 5):
        raise ValueError(
            f"the GPU has compute capability {_dotted(gpu.capability)}; TensorRT 10 and 11 run on "
            "7.5 and later"
        )
    major = min(gpu.cuda[0], 13)
    found = [f"cuda-python>={major},<{major + 1}"]
    if jetson:
        return found
    if machine != "x86_64" and major < 13:
        raise ValueError("there is no TensorRT for CUDA 12 and aarch64 on PyPI: use CUDA 13")
    return [*found, f"tensorrt-cu{major}>=10.3"]


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def jetpack_module() -> Path | None:
    """Folder in which JetPack's TensorRT for this Python lies; None where there is none."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for place in (
        Path("/usr/lib") / name / "dist-packages",
        Path("/usr/lib/python3/dist-packages"),
    ):
        if (place / "tensorrt").is_dir():
            return place
    return None


def main() -> int:
    """Print the requirements on one line, and on Jetson the module's folder on the next."""
    gpu = gpu_at_hand()
    if gpu is None:
        return 0
    jetson = JETSON.is_file()
    try:
        print(" ".join(requirements(gpu, platform.machine(), jetson)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if jetson:
        place = jetpack_module()
        if place is None:
            print(
                "error: JetPack's TensorRT has no module for this Python: "
                "apt install python3-libnvinfer, and use the system's Python",
                file=sys.stderr,
            )
            return 1
        print(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
