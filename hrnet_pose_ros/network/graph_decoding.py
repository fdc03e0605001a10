# SPDX-License-Identifier: Apache-2.0
"""Heatmaps to key points as part of a graph: what pose/decoding.py does, in operations of ONNX.

Everything is float32 and has fixed shapes but for N. Positions are counted in float32 too (a map
has far fewer than 2**24 cells); of several equal peaks the first one counts, which ArgMax and TopK
do not promise on a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hrnet_pose_ros.model_files.metadata import STRIDE
from hrnet_pose_ros.pose.boxes import CropRule, cell_pitch
from hrnet_pose_ros.pose.decoding import (
    BLUR_KERNELS,
    CELL_VARIANCE,
    LOG_FLOORS,
    MAX_STEP,
    MOMENT_KEPT,
    REACHES,
    WEIGHT_FLOOR,
    Method,
    blur_matrix,
)

# Cells that a decoding looks at beside the peak: (right, down). DARK's are in its 5x5 stencil; in
# UDP's form of it they are the 3x3 ones.
_NEIGHBOURS = {
    "quarter": [(1, 0), (-1, 0), (0, 1), (0, -1)],
    "dark": [
        *[(0, 0), (1, 0), (-1, 0), (2, 0), (-2, 0), (0, 1), (0, -1), (0, 2), (0, -2)],
        *[(1, 1), (1, -1), (-1, 1), (-1, -1)],
    ],
    "dark of udp": [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)],
}

_LARGEST = torch.finfo(torch.float32).max


class GraphPoints(NamedTuple):
    """Key points of N persons in image pixels.

    keypoints: float32 ``[N, J, 2]``, x and y; scores: float32 ``[N, J]``, the raw peak;
    covariances: float32 ``[N, J, 3]``, var_x, cov_xy and var_y in px². A joint that is not valid
    (its map is not finite, or has no peak above 0) has score 0, and zeros in the others; every
    valid one has a score above 0.
    """

    keypoints: Tensor
    scores: Tensor
    covariances: Tensor


class HeatmapDecoder(nn.Module):
    """Decodes heatmaps ``[N, J, h, w]`` and maps the key points to the image.

    Rules and constants are those of `hrnet_pose_ros.pose.decoding.poses_from_heatmaps`.
    """

    columns: Tensor
    rows: Tensor
    cells: Tensor
    neighbours: Tensor
    blur_rows: Tensor
    blur_columns: Tensor

    def __init__(
        self,
        heatmap_size: tuple[int, int],
        method: Method,
        sigma: float,
        crop: CropRule = "reference",
    ) -> None:
        """``heatmap_size`` is (width, height) in cells; ``sigma`` the target's, for ``"dark"``."""
        super().__init__()
        self.method = method
        self.crop = crop
        self.size = heatmap_size
        w, h = heatmap_size
        self.pitch: list[float] = cell_pitch((STRIDE * w, STRIDE * h), heatmap_size, crop).tolist()
        near = _NEIGHBOURS["dark of udp" if (method, crop) == ("dark", "udp") else method]
        self.register_buffer("columns", torch.arange(w, dtype=torch.float32))
        self.register_buffer("rows", torch.arange(h, dtype=torch.float32))
        self.register_buffer("cells", torch.arange(h * w, dtype=torch.float32))
        self.register_buffer("neighbours", torch.tensor(near, dtype=torch.float32))
        kernel = BLUR_KERNELS[int(sigma)]
        self.register_buffer("blur_rows", torch.from_numpy(blur_matrix(h, kernel)))
        self.register_buffer("blur_columns", torch.from_numpy(blur_matrix(w, kernel)))

    def forward(self, heatmaps: Tensor, crop_to_image: Tensor) -> GraphPoints:
        w, h = self.size
        flat = heatmaps.flatten(2)
        peaks = flat.amax(dim=2)
        # Comparisons with NaN are false, whatever an engine's maximum makes of NaN.
        finite = (flat.abs() <= _LARGEST).to(torch.float32).amin(dim=2) > 0.5
        valid = finite & (peaks > 0)
        flat = torch.where(valid[..., None], flat, 0.0)
        peaks = torch.where(valid, peaks, 0.0)

        is_peak = flat == peaks[..., None]
        best = torch.where(is_peak, self.cells, float(h * w - 1)).amin(dim=2)
        y = torch.floor((best + 0.5) / w)  # half a cell from where rounding could matter
        x = best - y * w

        relative = flat / torch.where(valid, peaks, 1.0)[..., None]
        if self.method == "quarter":
            dx, dy = self._quarter(flat, x, y)
        else:
            dx, dy = self._taylor(relative.unflatten(2, (h, w)), x, y, peaks)
        x, y = x + dx, y + dy
        moments = self._second_moments(relative.unflatten(2, (h, w)), x, y)
        keypoints, covariances = _to_image(x, y, moments, crop_to_image, self.pitch)
        return GraphPoints(
            torch.where(valid[..., None], keypoints, 0.0),
            peaks,
            torch.where(valid[..., None], covariances, 0.0),
        )

    def _near(self, flat: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Values ``[N, J, P]`` of the decoding's `_NEIGHBOURS` of the cells (x, y).

        Cells outside the map are replaced by some inside: their values are not used.
        """
        w, h = self.size
        columns = (x[..., None] + self.neighbours[:, 0]).clamp(0, w - 1)
        rows = (y[..., None] + self.neighbours[:, 1]).clamp(0, h - 1)
        return flat.gather(2, (rows * w + columns).to(torch.int64))

    def _quarter(self, flat: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        w, h = self.size
        applies = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
        near = self._near(flat, x, y)
        dx = 0.25 * torch.sign(near[..., 0] - near[..., 1])
        dy = 0.25 * torch.sign(near[..., 2] - near[..., 3])
        return torch.where(applies, dx, 0.0), torch.where(applies, dy, 0.0)

    def _taylor(
        self, relative: Tensor, x: Tensor, y: Tensor, peaks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """DARK's step where it applies, else 0."""
        w, h = self.size
        blurred = torch.matmul(self.blur_rows, torch.matmul(relative, self.blur_columns)).flatten(2)
        highest = blurred.amax(dim=2)
        restored = self._near(blurred, x, y) * (
            peaks / torch.where(highest > 0, highest, 1.0)
        ).unsqueeze(2)
        at = torch.log(restored.clamp_min(LOG_FLOORS[self.crop])).unbind(2)
        if self.crop == "udp":
            dx, dy = (at[1] - at[2]) / 2, (at[3] - at[4]) / 2
            dxx = at[1] - 2 * at[0] + at[2]
            dyy = at[3] - 2 * at[0] + at[4]
            dxy = (at[5] + at[6] + 2 * at[0] - (at[1] + at[3] + at[2] + at[4])) / 2
        else:
            dx, dy = (at[1] - at[2]) / 2, (at[5] - at[6]) / 2
            dxx = (at[3] - 2 * at[0] + at[4]) / 4
            dyy = (at[7] - 2 * at[0] + at[8]) / 4
            dxy = (at[9] - at[10] - at[11] + at[12]) / 4
        determinant = dxx * dyy - dxy * dxy
        peaked = (highest > 0) & (dxx < 0) & (determinant > 0)
        divisor = torch.where(peaked, determinant, 1.0)
        step_x = (dxy * dy - dyy * dx) / divisor
        step_y = (dxy * dx - dxx * dy) / divisor
        far = REACHES[self.crop]
        inside = (x > far - 1) & (x < w - far) & (y > far - 1) & (y < h - far)
        short = (step_x.abs() <= MAX_STEP) & (step_y.abs() <= MAX_STEP)
        taken = inside & peaked & short
        return torch.where(taken, step_x, 0.0), torch.where(taken, step_y, 0.0)

    def _second_moments(self, relative: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Variance over x, covariance and variance over y in cells², each ``[N, J]``."""
        weights = torch.relu(relative - WEIGHT_FLOOR)
        dx = self.columns - x[..., None]
        dy = self.rows - y[..., None]
        of_columns, of_rows = weights.sum(dim=2), weights.sum(dim=3)
        # A map without a valid peak has no weight at all; its result is not used.
        total = of_columns.sum(dim=2).clamp_min(1e-6) * MOMENT_KEPT
        xx = (of_columns * dx * dx).sum(dim=2) / total + CELL_VARIANCE
        yy = (of_rows * dy * dy).sum(dim=2) / total + CELL_VARIANCE
        xy = ((weights * dx.unsqueeze(2)).sum(dim=3) * dy).sum(dim=2) / total
        return xx, xy, yy


def _to_image(
    x: Tensor,
    y: Tensor,
    moments: tuple[Tensor, ...],
    crop_to_image: Tensor,
    pitch: list[float],
) -> tuple[Tensor, Tensor]:
    """Points ``[N, J, 2]`` and covariances ``[N, J, 3]`` from cells to image pixels.

    ``pitch`` is a cell's width and height in crop pixels (`cell_pitch`).
    """
    xx, xy, yy = moments
    a, b, shift_x = (crop_to_image[:, 0, i].view(-1, 1) for i in range(3))
    c, d, shift_y = (crop_to_image[:, 1, i].view(-1, 1) for i in range(3))
    a, b, c, d = pitch[0] * a, pitch[1] * b, pitch[0] * c, pitch[1] * d
    keypoints = torch.stack([(a * x + b * y) + shift_x, (c * x + d * y) + shift_y], dim=2)
    var_x = a * a * xx + 2 * a * b * xy + b * b * yy
    cov_xy = a * c * xx + (a * d + b * c) * xy + b * d * yy
    var_y = c * c * xx + 2 * c * d * xy + d * d * yy
    return keypoints, torch.stack([var_x, cov_xy, var_y], dim=2)
