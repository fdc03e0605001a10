# SPDX-License-Identifier: Apache-2.0
"""Decoding against rendered Gaussians and against loops written from the reference's rules."""

from __future__ import annotations

import math
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.boxes import CropRule, crop_to_image
from hrnet_pose_ros.pose.decoding import MAX_STEP, decode_heatmaps, poses_from_heatmaps

METHODS = ["quarter", "dark"]
W, H = 48, 64
INPUT = (192, 256)


def gaussian(
    centres: np.ndarray, covariance: np.ndarray, size: tuple[int, int] = (W, H)
) -> np.ndarray:
    """float64 ``[..., h, w]``: a Gaussian of peak 1 about each of ``centres [..., 2]``."""
    w, h = size
    y, x = np.mgrid[:h, :w]
    d = np.stack([x, y], axis=-1) - np.asarray(centres)[..., None, None, :]
    return np.exp(-0.5 * np.einsum("...i,ij,...j->...", d, np.linalg.inv(covariance), d))


def one_map(heatmap: np.ndarray) -> np.ndarray:
    """One person whose joints all have this map."""
    return np.tile(heatmap, (1, 17, 1, 1)).astype(np.float32)


def rendered(rng: np.random.Generator, n: int, sigma: float, margin: float) -> tuple:
    """Heatmaps ``[n, 17, H, W]`` and their centres ``[n, 17, 2]``."""
    centres = rng.uniform(margin, (W - 1 - margin, H - 1 - margin), (n, 17, 2))
    heights = rng.uniform(0.2, 1.1, (n, 17, 1, 1))
    return (heights * gaussian(centres, sigma**2 * np.eye(2))).astype(np.float32), centres


def realistic(rng: np.random.Generator, n: int) -> np.ndarray:
    """Peaks anywhere, also at the borders, with second peaks, noise and values below 0."""
    first = gaussian(rng.uniform(0, (W - 1, H - 1), (n, 17, 2)), 4 * np.eye(2))
    second = gaussian(rng.uniform(0, (W - 1, H - 1), (n, 17, 2)), 4 * np.eye(2))
    noise = cv2.GaussianBlur(rng.normal(0, 1, (H, W, n * 17)).reshape(H, -1), (1, 5), 0)
    noise = noise.reshape(H, W, n, 17).transpose(2, 3, 0, 1)
    scale = rng.choice([0.02, 0.05], (n, 17, 1, 1))
    weak = rng.uniform(0, 0.9, (n, 17, 1, 1))
    return (first + weak * second + scale * noise - 0.01).astype(np.float32)


# --- the reference's rules as plain loops ------------------------------------------------------


def quarter_loop(heatmap: np.ndarray) -> tuple[float, float]:
    h, w = heatmap.shape
    py, px = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    x, y = float(px), float(py)
    if 1 < px < w - 1 and 1 < py < h - 1:
        x += 0.25 * np.sign(heatmap[py, px + 1] - heatmap[py, px - 1])
        y += 0.25 * np.sign(heatmap[py + 1, px] - heatmap[py - 1, px])
    return x, y


def dark_step(
    heatmap: np.ndarray, kernel: int, crop: CropRule = "reference"
) -> tuple[np.ndarray, np.ndarray]:
    """The unbounded Taylor step at the argmax, and the Hessian's eigenvalues, ascending."""
    py, px = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    r = kernel // 2
    padded = np.zeros(np.add(heatmap.shape, 2 * r))
    padded[r:-r, r:-r] = heatmap
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[r:-r, r:-r]
    blurred *= heatmap.max() / blurred.max()
    log = np.log(np.maximum(blurred, 1e-10 if crop == "reference" else 1e-3))
    dx = 0.5 * (log[py, px + 1] - log[py, px - 1])
    dy = 0.5 * (log[py + 1, px] - log[py - 1, px])
    if crop == "udp":
        dxx = log[py, px + 1] - 2 * log[py, px] + log[py, px - 1]
        dyy = log[py + 1, px] - 2 * log[py, px] + log[py - 1, px]
        # The mean of the mixed differences towards the lower right and towards the upper left.
        lower_right = log[py + 1, px + 1] - log[py, px + 1] - log[py + 1, px] + log[py, px]
        upper_left = log[py, px] - log[py, px - 1] - log[py - 1, px] + log[py - 1, px - 1]
        dxy = 0.5 * (lower_right + upper_left)
    else:
        dxx = 0.25 * (log[py, px + 2] - 2 * log[py, px] + log[py, px - 2])
        dyy = 0.25 * (log[py + 2, px] - 2 * log[py, px] + log[py - 2, px])
        dxy = 0.25 * (
            log[py + 1, px + 1] - log[py - 1, px + 1] - log[py + 1, px - 1] + log[py - 1, px - 1]
        )
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    return -np.linalg.pinv(hessian) @ (dx, dy), np.linalg.eigvalsh(hessian)


def dark_loop(
    heatmap: np.ndarray, kernel: int, crop: CropRule = "reference"
) -> tuple[float, float, float, bool]:
    """The position, how far the decision to step was from tipping over, whether it stepped."""
    h, w = heatmap.shape
    py, px = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    far = 2 if crop == "reference" else 1
    if not (far - 1 < px < w - far and far - 1 < py < h - far):
        return px, py, math.inf, False
    step, eigenvalues = dark_step(heatmap, kernel, crop)
    length = np.abs(step).max()
    clear = min(abs(eigenvalues[1]), abs(length - MAX_STEP))
    if eigenvalues[1] >= 0 or length > MAX_STEP:
        return px, py, clear, False
    return px + step[0], py + step[1], clear, True


def covariance_loop(heatmap: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    total, moments = 0.0, np.zeros((2, 2))
    for y, x in np.ndindex(heatmap.shape):
        weight = max(float(heatmap[y, x]) - 0.1 * float(heatmap.max()), 0.0)
        d = np.array([x - point[0], y - point[1]])
        total += weight
        moments += weight * np.outer(d, d)
    return moments / total / 0.604 + np.eye(2) / 12


# --- against the loops -------------------------------------------------------------------------


def test_quarter_equals_the_loop() -> None:
    heatmaps = realistic(np.random.default_rng(1), 8)
    decoded = decode_heatmaps(heatmaps, "quarter")
    for person, joint in np.ndindex(8, 17):
        heatmap = heatmaps[person, joint]
        np.testing.assert_array_equal(decoded.points[person, joint], quarter_loop(heatmap))
        assert decoded.scores[person, joint] == heatmap.max()


@pytest.mark.parametrize(
    ("peak", "offset"),
    [
        ((1, 30), (0, 0)),  # 1 < px fails
        ((2, 30), (0.25, 0.25)),
        ((W - 2, 30), (0.25, 0.25)),  # px < w-1 holds
        ((W - 1, 30), (0, 0)),
        ((20, 1), (0, 0)),
        ((20, 2), (0.25, 0.25)),
        ((20, H - 2), (0.25, 0.25)),
        ((20, H - 1), (0, 0)),
        ((0, 0), (0, 0)),
    ],
)
def test_where_the_quarter_offset_applies(peak, offset) -> None:
    heatmap = np.zeros((H + 1, W + 1))
    x, y = peak
    heatmap[y + 1, x] = heatmap[y, x + 1] = 0.5  # the larger neighbours: below and right
    heatmap[y, x] = 1
    decoded = decode_heatmaps(one_map(heatmap[:H, :W]), "quarter")
    np.testing.assert_array_equal(decoded.points[0, 0] - peak, offset)


def test_equal_neighbours_give_no_quarter_offset() -> None:
    decoded = decode_heatmaps(one_map(gaussian((20, 30), 4 * np.eye(2))), "quarter")
    np.testing.assert_array_equal(decoded.points[0, 0], (20, 30))


@pytest.mark.parametrize(
    ("sigma", "kernel", "scale"),
    [
        (2, 11, 1),
        (3, 17, 1),
        (2, 11, 1e3),
        (2, 11, 1.2e-10),  # the logarithm's floor of 1e-10 cuts into the restored peak
        (2, 11, 1.2e-3),  # so does UDP's
    ],
)
@pytest.mark.parametrize("crop", get_args(CropRule))
def test_dark_equals_the_loop(sigma: float, kernel: int, scale: float, crop: CropRule) -> None:
    heatmaps = realistic(np.random.default_rng(2), 12) * np.float32(scale)
    decoded = decode_heatmaps(heatmaps, "dark", sigma, crop)
    stepped, stayed = 0, 0
    for person, joint in np.ndindex(12, 17):
        x, y, clear, step = dark_loop(heatmaps[person, joint], kernel, crop)
        if clear < 1e-4:
            continue  # float32 may decide the other way
        # 1e-3 cell: the design's bound for decoding the same heatmap.
        np.testing.assert_allclose(decoded.points[person, joint], (x, y), rtol=0, atol=1e-3)
        stepped += step
        stayed += not step
    if (crop, scale) == ("udp", 1.2e-10):  # all of it below the floor: nothing to step on
        assert stepped == 0
        np.testing.assert_array_equal(decoded.points, np.rint(decoded.points))
    else:
        assert stepped > 50
        assert stayed > (5 if crop == "reference" else 2)


def saddle() -> np.ndarray:
    """A sharp peak between two broad ones, off their axis: blurred, it lies beside a saddle."""
    heatmap = gaussian((16, 30), 4 * np.eye(2)) + gaussian((26, 30), 4 * np.eye(2))
    heatmap[31, 21] = 1.5
    return heatmap


def hollow() -> np.ndarray:
    """A sharp peak in a ring: blurred, it lies beside a minimum."""
    y, x = np.mgrid[:H, :W]
    heatmap = np.exp(-((np.hypot(x - 21.3, y - 30.2) - 7) ** 2) / 2)
    heatmap[30, 21] = 1.5
    return heatmap


def slope() -> np.ndarray:
    """A sharp peak on the side of a broad one: blurred, the maximum is some cells away."""
    heatmap = gaussian((22, 34), 9 * np.eye(2))
    heatmap[30, 20] = 1.5
    return heatmap


@pytest.mark.parametrize(
    ("heatmap", "peak", "curvatures"),
    [
        (saddle(), (21, 31), "+-"),
        (saddle().T, (31, 21), "+-"),
        (hollow(), (21, 30), "++"),
        (slope(), (20, 30), "--"),
    ],
)
def test_dark_invents_no_joint(heatmap, peak, curvatures: str) -> None:
    # The case is what it claims: a step that could be taken, but for its curvatures or length.
    step, eigenvalues = dark_step(heatmap, 11)
    assert "".join("+" if e > 0 else "-" for e in eigenvalues[::-1]) == curvatures
    assert (np.abs(step).max() > MAX_STEP) == (curvatures == "--")
    assert np.abs(step).max() > 0.05
    decoded = decode_heatmaps(one_map(heatmap), "dark")
    np.testing.assert_array_equal(decoded.points[0, 0], peak)


@pytest.mark.parametrize("method", METHODS)
def test_covariance_equals_the_loop(method) -> None:
    heatmaps = realistic(np.random.default_rng(3), 2)
    decoded = decode_heatmaps(heatmaps, method)
    for joint in range(17):
        expected = covariance_loop(heatmaps[1, joint], decoded.points[1, joint])
        np.testing.assert_allclose(decoded.covariances[1, joint], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_person_decodes_alike_alone_and_among_others(method) -> None:
    heatmaps = realistic(np.random.default_rng(4), 5)
    together = decode_heatmaps(heatmaps, method)
    for person in range(5):
        alone = decode_heatmaps(heatmaps[person : person + 1], method)
        for one, all_ in zip(alone, together, strict=True):
            # Not bit for bit: BLAS may sum in another order.
            np.testing.assert_allclose(one[0], all_[person], rtol=1e-5, atol=1e-4)


# --- against rendered Gaussians ----------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), sigma=st.sampled_from([2, 3]))
def test_centre_of_a_gaussian_is_found(seed: int, sigma: int) -> None:
    # The blur must see the whole Gaussian: cut at the border it is drawn inwards.
    margin = 3 * math.hypot(sigma, sigma)
    heatmaps, centres = rendered(np.random.default_rng(seed), 1, sigma, margin)
    for method, tolerance in (("quarter", 0.3), ("dark", 0.05)):
        for crop in get_args(CropRule):
            decoded = decode_heatmaps(heatmaps, method, sigma, crop)
            assert decoded.valid.all()
            assert np.abs(decoded.points - centres).max() <= tolerance, (method, crop)


@settings(deadline=None, max_examples=40)
@given(x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5), degrees=st.floats(0, 180))
def test_covariance_of_a_gaussian_is_recovered(x: float, y: float, degrees: float) -> None:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    expected = turn @ np.diag([9, 2.25]) @ turn.T
    heatmap = 0.8 * gaussian((23.5 + x, 31.5 + y), expected)
    decoded = decode_heatmaps(one_map(heatmap), "dark")
    # Besides the Gaussian's own, the covariance holds the variance of a cell, 1/12.
    found = decoded.covariances[0, 0] - np.eye(2) / 12
    along = turn.T @ found @ turn
    np.testing.assert_allclose(np.diag(along), (9, 2.25), rtol=0.05)
    assert abs(along[0, 1]) <= 0.05 * 3 * 1.5


def test_covariance_of_a_gaussian_turned_by_30_degrees() -> None:
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    expected = np.array([[c, -s], [s, c]]) @ np.diag([9, 2.25]) @ np.array([[c, s], [-s, c]])
    decoded = decode_heatmaps(one_map(gaussian((24, 32), expected)), "quarter")
    np.testing.assert_allclose(decoded.covariances[0, 0] - np.eye(2) / 12, expected, rtol=0.05)


@settings(deadline=None, max_examples=60)
@given(
    d=st.floats(0, 30),
    angle=st.floats(0, 2 * math.pi),
    method=st.sampled_from(METHODS),
)
def test_two_equal_peaks_have_a_wide_covariance(d: float, angle: float, method) -> None:
    axis = np.array([math.cos(angle), math.sin(angle)])
    middle = np.array([23.5, 31.5])
    peaks = [gaussian(middle + side * d / 2 * axis, 4 * np.eye(2)) for side in (-1, 1)]
    decoded = decode_heatmaps(one_map(np.maximum(*peaks)), method)
    variance = axis @ decoded.covariances[0, 0] @ axis
    assert variance >= 0.8 * (d / 2) ** 2
    across = np.array([-axis[1], axis[0]])
    assert across @ decoded.covariances[0, 0] @ across <= 1.3 * 4  # and only along their axis


@pytest.mark.parametrize("method", METHODS)
def test_mirrored_heatmaps_give_mirrored_points(method) -> None:
    heatmaps, _ = rendered(np.random.default_rng(6), 4, 2, 4)
    decoded = decode_heatmaps(heatmaps, method)
    mirrored = decode_heatmaps(heatmaps[..., ::-1], method)
    points, covariances = mirrored.points.copy(), mirrored.covariances.copy()
    points[..., 0] = W - 1 - points[..., 0]
    covariances[..., 0, 1] *= -1
    covariances[..., 1, 0] *= -1
    np.testing.assert_allclose(points, decoded.points, atol=1e-4)
    np.testing.assert_allclose(covariances, decoded.covariances, atol=1e-3)
    np.testing.assert_array_equal(mirrored.scores, decoded.scores)


# --- what is valid -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("value", "place", "valid"),
    [
        (None, None, True),
        (math.nan, (5, 5), False),
        (math.inf, (5, 5), False),
        (-math.inf, (5, 5), False),
        (math.nan, (30, 20), False),  # at the peak
        (-5.0, (5, 5), True),  # far below 0, which is no fault
    ],
)
def test_a_map_that_is_not_finite_is_not_valid(method, value, place, valid: bool) -> None:
    heatmaps = one_map(gaussian((20, 30), 4 * np.eye(2)))
    if place:
        heatmaps[0, 3][place] = value
    decoded = decode_heatmaps(heatmaps, method)
    assert decoded.valid[0, 3] == valid
    assert np.delete(decoded.valid[0], 3).all()
    assert np.isfinite(decoded.points[decoded.valid]).all()
    if not valid:
        assert decoded.scores[0, 3] == 0
        assert np.isnan(decoded.points[0, 3]).all()
        assert np.isnan(decoded.covariances[0, 3]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("height", "valid"), [(0.0, False), (-0.3, False), (1e-30, True)])
def test_only_a_peak_above_0_is_valid(method, height: float, valid: bool) -> None:
    heatmaps = np.full((1, 17, H, W), -0.4, np.float32)
    heatmaps[0, :, 0, 0] = height  # the corner where an argmax of nothing would land
    assert decode_heatmaps(heatmaps, method).valid.tolist() == [[valid] * 17]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["noise", "uniform", "spikes", "constant", "steep"]),
    scale=st.sampled_from([1e-44, 1e-30, 1e-3, 1.0, 1e4, 1e38]),
    size=st.sampled_from([(48, 64), (7, 5), (1, 1), (5, 5), (2, 9)]),
    method=st.sampled_from(METHODS),
    sigma=st.sampled_from([2, 3]),
)
@pytest.mark.filterwarnings("error")
def test_valid_joints_are_finite_and_their_covariances_positive_definite(
    seed: int, kind: str, scale: float, size: tuple[int, int], method, sigma: float
) -> None:
    rng = np.random.default_rng(seed)
    shape = (2, 17, size[1], size[0])
    maps = {
        "noise": rng.normal(0, 1, shape),
        "uniform": rng.random(shape),
        "spikes": (rng.random(shape) < 0.01) * 1.0,
        "constant": np.ones(shape),
        "steep": np.where(rng.random(shape) < 0.02, 1e-38, -1.0),
    }[kind]
    heatmaps = np.clip(maps * scale, -3e38, 3e38).astype(np.float32)
    transforms = crop_to_image(np.array([[10, 20, 3, 1], [-1e5, 1e5, 1e5, 7e4]]), INPUT)
    decoded = decode_heatmaps(heatmaps, method, sigma)
    valid = decoded.valid
    np.testing.assert_array_equal(valid, heatmaps.max(axis=(2, 3)) > 0)
    assert np.isfinite(decoded.points[valid]).all()
    assert np.isnan(decoded.points[~valid]).all()
    low, high = decoded.points[valid] >= -MAX_STEP, decoded.points[valid] < np.add(size, MAX_STEP)
    assert (low & high).all()
    assert_positive_definite(decoded.covariances[valid])
    stride = INPUT[0] // 48
    poses = poses_from_heatmaps(
        heatmaps, transforms, (stride * size[0], stride * size[1]), method, sigma
    )
    assert np.isfinite(poses.keypoints[valid]).all()
    assert np.isfinite(poses.scores).all()
    assert_positive_definite(poses.covariances[valid])


def assert_positive_definite(covariances: np.ndarray) -> None:
    assert np.isfinite(covariances).all()
    np.testing.assert_array_equal(covariances, covariances.swapaxes(-1, -2))
    if len(covariances):
        assert np.linalg.eigvalsh(covariances.astype(np.float64)).min() > 0


# --- to image pixels ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_back_to_the_image_by_the_references_formula(method) -> None:
    boxes = np.array([[100, 50, 60, 200], [-30, 300.5, 300, 200], [5, 5, 2, 3]])
    heatmaps = realistic(np.random.default_rng(7), 3)
    heatmaps[1, 4] = 0  # a joint that is not valid
    poses = poses_from_heatmaps(heatmaps, crop_to_image(boxes, INPUT), INPUT, method)
    decoded = decode_heatmaps(heatmaps, method)
    for person, (x, y, bw, bh) in enumerate(boxes):
        width = 1.25 * (bw if bw > 0.75 * bh else 0.75 * bh)
        cell = width / W
        centre = np.array([x + bw / 2, y + bh / 2])
        expected = (decoded.points[person] - (W / 2, H / 2)) * cell + centre
        np.testing.assert_allclose(poses.keypoints[person], expected, rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(
            poses.covariances[person], decoded.covariances[person] * cell**2, rtol=1e-5
        )
    np.testing.assert_array_equal(poses.scores, decoded.scores)
    np.testing.assert_array_equal(poses.valid, decoded.valid)
    assert not poses.valid[1, 4]
    assert np.isnan(poses.keypoints[1, 4]).all()
    assert np.isnan(poses.covariances[1, 4]).all()
    assert [a.dtype for a in (poses.keypoints, poses.scores, poses.covariances)] == [np.float32] * 3


def test_a_transform_with_a_turn_turns_the_covariance() -> None:
    heatmaps = one_map(gaussian((20, 30), np.diag([9.0, 2.25])))
    quarter_turn = np.array([[[0.0, -2, 7], [2, 0, 11]]])
    poses = poses_from_heatmaps(heatmaps, quarter_turn, INPUT, "quarter")
    np.testing.assert_allclose(poses.keypoints[0, 0], (-2 * 4 * 30 + 7, 2 * 4 * 20 + 11), rtol=1e-6)
    straight = decode_heatmaps(heatmaps, "quarter").covariances[0, 0] * 64
    np.testing.assert_allclose(np.diag(poses.covariances[0, 0]), np.diag(straight)[::-1], rtol=1e-5)


def test_rounding_leaves_turned_covariances_symmetric() -> None:
    # Of a round Gaussian the off-diagonal is nothing but rounding.
    rng = np.random.default_rng(9)
    n, size = 400, (16, 16)
    round_ones = gaussian(rng.integers(6, 10, (n, 17, 2)), np.eye(2), size).astype(np.float32)
    angles = rng.uniform(0, math.pi, n)
    turns = np.zeros((n, 2, 3))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angles)
    turns[:, 1, 0], turns[:, 0, 1] = np.sin(angles), -np.sin(angles)
    poses = poses_from_heatmaps(round_ones, turns, (64, 64), "quarter")
    assert_positive_definite(poses.covariances)


@pytest.mark.parametrize("method", METHODS)
def test_no_persons(method) -> None:
    poses = poses_from_heatmaps(
        np.zeros((0, 17, H, W), np.float32), np.zeros((0, 2, 3)), INPUT, method
    )
    assert len(poses) == 0
    assert poses.covariances.shape == (0, 17, 2, 2)


@pytest.mark.parametrize("method", METHODS)
def test_inputs_are_not_written(method) -> None:
    heatmaps = realistic(np.random.default_rng(8), 1)
    before = heatmaps.copy()
    decode_heatmaps(heatmaps, method)
    np.testing.assert_array_equal(heatmaps, before)


@pytest.mark.parametrize(
    ("heatmaps", "transforms", "size", "method", "sigma", "message"),
    [
        ((1, 16, H, W), (1, 2, 3), INPUT, "quarter", 2, r"\(N, 17, h, w\).*\(1, 16, 64, 48\)"),
        ((17, H, W), (17, 2, 3), INPUT, "quarter", 2, r"\(N, joints, h, w\).*\(17, 64, 48\)"),
        ((1, 17, H, 0), (1, 2, 3), INPUT, "quarter", 2, r"\(N, joints, h, w\)"),
        ((2, 17, H, W), (1, 2, 3), INPUT, "quarter", 2, r"\(2, 2, 3\).*\(1, 2, 3\)"),
        ((1, 17, H, W), (2, 3), INPUT, "quarter", 2, r"\(1, 2, 3\).*\(2, 3\)"),
        ((1, 17, H, W), (1, 2, 3), (192, 192), "quarter", 2, "stride"),
        ((1, 17, H, W), (1, 2, 3), INPUT, "udp", 2, "method .*quarter.*dark.*udp"),
        ((1, 17, H, W), (1, 2, 3), INPUT, "dark", 4, r"sigma .*2, 3.*4"),
    ],
)
def test_wrong_arguments_are_named(heatmaps, transforms, size, method, sigma, message) -> None:
    with pytest.raises(ValueError, match=message):
        poses_from_heatmaps(
            np.zeros(heatmaps, np.float32), np.zeros(transforms), size, method, sigma
        )


def test_wrong_values_are_named() -> None:
    heatmaps = np.zeros((1, 17, H, W), np.float32)
    with pytest.raises(ValueError, match="crop_to_image must be finite"):
        poses_from_heatmaps(heatmaps, np.full((1, 2, 3), np.nan), INPUT, "quarter")
    with pytest.raises(ValueError, match="floats, got uint8"):
        decode_heatmaps(heatmaps.astype(np.uint8), "quarter")
