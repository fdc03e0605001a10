# SPDX-License-Identifier: Apache-2.0
"""Rays against forward projections written from the models' published equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.camera import Camera

K = (900.0, 0, 640.5, 0, 905.0, 358.0, 0, 0, 1)
P = (850.0, 0, 650.0, -85.0, 0, 850.0, 350.0, 0, 0, 0, 1, 0)
PLUMB_BOB = (-0.3, 0.1, 0.001, -0.0008, -0.015)
RATIONAL = (0.4, -0.2, 0.0005, -0.0003, 0.01, 0.7, -0.1, 0.02)
EQUIDISTANT = (-0.02, 0.01, -0.005, 0.001)


def calibrated(**changes) -> Camera:
    fields = dict(
        k=K,
        p=P,
        d=(),
        distortion_model="plumb_bob",
        size=(1280, 720),
        image_size=(1280, 720),
        rectified=False,
    )
    return Camera.from_calibration(**{**fields, **changes})


def brown(x: float, y: float, d: tuple[float, ...]) -> tuple[float, float]:
    """OpenCV's documented radial, rational and tangential model."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, *[0.0] * 8)[:8]
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def fisheye(x: float, y: float, d: tuple[float, ...]) -> tuple[float, float]:
    r = math.hypot(x, y)
    theta = math.atan(r)
    bent = theta * (1 + sum(k * theta ** (2 * i) for i, k in enumerate(d, 1)))
    return (x * bent / r, y * bent / r) if r else (x, y)


MODELS = {
    "plumb_bob": (PLUMB_BOB, brown),
    "rational_polynomial": (RATIONAL, brown),
    "equidistant": (EQUIDISTANT, fisheye),
}


@settings(deadline=None, max_examples=120)
@given(
    model=st.sampled_from(sorted(MODELS)),
    x=st.floats(-0.7, 0.7),
    y=st.floats(-0.4, 0.4),
)
def test_ray_of_a_distorted_pixel(model: str, x: float, y: float) -> None:
    d, distort = MODELS[model]
    u, v = distort(x, y, d)
    camera = calibrated(d=d, distortion_model=model)
    ray = camera.rays((K[0] * u + K[2], K[4] * v + K[5]))
    # 2e-4 is a fifth of a pixel at this focal length: the solvers iterate until they are there.
    np.testing.assert_allclose(ray, (x, y, 1), atol=2e-4)


@pytest.mark.parametrize(
    ("rectified", "focal", "centre"),
    [(False, (900, 905), (640.5, 358)), (True, (850, 850), (650, 350))],
)
def test_rectified_uses_p_without_distortion_and_raw_uses_k(rectified, focal, centre) -> None:
    camera = calibrated(rectified=rectified, d=PLUMB_BOB if rectified else (0.0,) * 5)
    assert (camera.fx, camera.fy) == focal
    assert (camera.cx, camera.cy) == centre
    assert camera.coefficients == ()
    pixel = np.array(centre) + (0.1 * focal[0], -0.2 * focal[1])
    np.testing.assert_allclose(camera.rays(pixel), (0.1, -0.2, 1), atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (900, 905, 640.5, 358)),
        ({"binning": (2, 2), "image_size": (640, 360)}, (450, 452.5, 320.25, 179)),
        ({"binning": (0, 0)}, (900, 905, 640.5, 358)),  # 0 means 1
        ({"binning": (2, 1), "image_size": (640, 720)}, (450, 905, 320.25, 358)),
        (
            {"roi": (100, 50, 800, 600), "image_size": (800, 600)},
            (900, 905, 540.5, 308),
        ),
        (
            {"roi": (100, 50, 800, 600), "binning": (2, 2), "image_size": (400, 300)},
            (450, 452.5, 270.25, 154),
        ),
        ({"image_size": (640, 360)}, (450, 452.5, 320.25, 179)),  # resized
        ({"image_size": (640, 720)}, (450, 905, 320.25, 358)),  # stretched
        (
            {"binning": (2, 2), "image_size": (320, 180)},  # binned, then resized
            (225, 226.25, 160.125, 89.5),
        ),
        (
            {"roi": (100, 50, 800, 600), "image_size": (1600, 1200)},  # cut, then enlarged
            (1800, 1810, 1081, 616),
        ),
        ({"binning": (3, 3), "image_size": (426, 240)}, (300, 905 / 3, 213.5, 358 / 3)),
        (
            {"rectified": True, "roi": (10, 20, 640, 480), "image_size": (320, 240)},
            (425, 425, 320, 165),
        ),
    ],
)
def test_binning_roi_and_resizing(changes, expected) -> None:
    camera = calibrated(**changes)
    np.testing.assert_allclose((camera.fx, camera.fy, camera.cx, camera.cy), expected, rtol=1e-12)


def test_same_ray_in_a_resized_image_with_distortion() -> None:
    full = calibrated(d=PLUMB_BOB)
    half = calibrated(d=PLUMB_BOB, image_size=(640, 360))
    np.testing.assert_allclose(half.rays((100, 60)), full.rays((200, 120)), atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": (0.0,) * 9}, "not calibrated"),
        ({"p": (0.0,) * 12, "rectified": True}, r"P\[0\] is 0"),
        ({"k": (1.0,) * 8}, "k must have 9 numbers, got 8"),
        ({"p": (1.0,) * 9}, "p must have 12 numbers, got 9"),
        ({"k": (math.nan, *K[1:])}, "finite"),
        ({"k": (-900.0, *K[1:])}, "above 0"),
        ({"d": (0.1,) * 5, "distortion_model": "thin_prism"}, "thin_prism"),
        ({"d": (0.1,) * 5, "distortion_model": "equidistant"}, "equidistant has 4 .*got 5"),
        ({"d": (math.nan,) * 5}, "finite"),
        ({"size": (0, 0)}, "size"),
        ({"image_size": (0, 10)}, "image_size"),
        ({"binning": (-1, 1)}, "binning"),
        ({"roi": (700, 0, 800, 100)}, "roi lies outside of"),
        ({"roi": (0, 720, 0, 0)}, "roi lies outside of"),
    ],
)
def test_wrong_calibration_is_named(changes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrated(**changes)


ZEROS = (0.0,) * 10


@pytest.mark.parametrize(
    ("name", "d", "same_name", "same_d"),
    [
        *(("plumb_bob", PLUMB_BOB + ZEROS[: n - 5], "plumb_bob", PLUMB_BOB) for n in (8, 12, 14)),
        ("plumb_bob", PLUMB_BOB[:2], "plumb_bob", (*PLUMB_BOB[:2], 0, 0)),
        ("plumb_bob", RATIONAL, "rational_polynomial", RATIONAL),  # as image_geometry does
        ("equidistant", (*EQUIDISTANT, 0.0), "equidistant", EQUIDISTANT),
        ("equidistant", EQUIDISTANT + ZEROS, "equidistant", EQUIDISTANT),
        ("equidistant", EQUIDISTANT[:2], "equidistant", (*EQUIDISTANT[:2], 0, 0)),
        ("rational_polynomial", PLUMB_BOB, "plumb_bob", PLUMB_BOB),
        ("rational_polynomial", PLUMB_BOB[:4], "plumb_bob", PLUMB_BOB[:4]),
        ("rational_polynomial", RATIONAL + ZEROS[:6], "rational_polynomial", RATIONAL),
        *(
            (name, EQUIDISTANT, "equidistant", EQUIDISTANT)
            for name in ("fisheye", "Fisheye", "kannala_brandt", "KANNALA-BRANDT", "EQUIDISTANT")
        ),
        *(
            (name, PLUMB_BOB, "plumb_bob", PLUMB_BOB)
            for name in ("Plumb_Bob", "plumb bob", "PLUMB_BOB", "radtan", "brown-conrady", "")
        ),
        ("Rational Polynomial", RATIONAL, "rational_polynomial", RATIONAL),
    ],
)
def test_usual_ways_to_write_a_calibration(name, d, same_name, same_d) -> None:
    points = [(300.0, 200.0), (900.0, 500.0)]
    expected = calibrated(distortion_model=same_name, d=same_d).rays(points)
    found = calibrated(distortion_model=name, d=d).rays(points)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("model", [None, *sorted(MODELS)])
@pytest.mark.parametrize("shape", [(2,), (0, 2), (3, 2), (0, 17, 2), (2, 17, 2)])
def test_shape_of_rays(model, shape) -> None:
    d = MODELS[model][0] if model else ()
    rays = calibrated(d=d, distortion_model=model or "").rays(np.full(shape, 300.0))
    assert rays.shape == (*shape[:-1], 3)
    assert (rays[..., 2] == 1).all()


@pytest.mark.parametrize("model", [None, *sorted(MODELS)])
def test_a_missing_point_stays_missing_alone(model) -> None:
    d = MODELS[model][0] if model else ()
    points = np.array([[300.0, 300], [math.nan, 300], [300, math.inf], [310, 320]])
    camera = calibrated(d=d, distortion_model=model or "")
    rays = camera.rays(points)
    assert np.isnan(rays[1:3]).all()
    np.testing.assert_array_equal(rays[[0, 3]], camera.rays(points[[0, 3]]))


def test_a_pixel_that_cannot_be_undistorted_has_no_ray() -> None:
    # With k1 = -0.3 alone the model folds back at a radius of 0.7: nothing lands beyond.
    camera = calibrated(d=(-0.3, 0.0, 0, 0, 0))
    rays = camera.rays([(640.5 + 900 * 0.6, 358.0), (640.5 + 900 * 0.9, 358.0)])
    assert np.isfinite(rays[0]).all()
    assert np.isnan(rays[1]).all()


def test_skeleton_stands_at_the_distance_of_its_height() -> None:
    camera = calibrated()
    # A person 1.7 m tall, 10 m ahead and 2 m to the right, seen by the camera.
    space = np.array([[2.0, y, 10.0] for y in np.linspace(-0.9, 0.8, 17)])
    pixels = space[:, :2] / 10 * (900, 905) + (640.5, 358)
    height = np.ptp(pixels[:, 1])
    points = camera.skeleton_points(np.stack([pixels, pixels]), np.array([height, height / 2]))
    np.testing.assert_allclose(points[0], space, atol=1e-9)
    np.testing.assert_allclose(points[1], 2 * space, atol=1e-9)
    child = camera.skeleton_points(pixels, height, person_height=0.85)
    np.testing.assert_allclose(child, space / 2, atol=1e-9)


def test_skeleton_without_a_height_or_a_joint() -> None:
    pixels = np.full((4, 17, 2), 300.0)
    pixels[3, 5] = np.nan
    points = calibrated().skeleton_points(pixels, np.array([0.0, -5, math.nan, 100]))
    assert np.isnan(points[:3]).all()
    assert np.isnan(points[3, 5]).all()
    assert np.isfinite(np.delete(points[3], 5, axis=0)).all()
    none = calibrated().skeleton_points(np.zeros((0, 17, 2)), np.zeros(0))
    assert none.shape == (0, 17, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.rays(np.zeros((4, 3))), r"\(\.\.\., 2\).*\(4, 3\)"),
        (lambda c: c.rays(3.0), r"\(\.\.\., 2\)"),
        (lambda c: c.skeleton_points(np.zeros((3, 17, 2)), np.ones(2)), r"\(3,\).*\(2,\)"),
        (lambda c: c.skeleton_points(np.zeros(2), 1.0), r"\(\.\.\., J, 2\)"),
        (lambda c: c.skeleton_points(np.zeros((17, 2)), 1.0, 0.0), "person_height"),
    ],
)
def test_wrong_arguments_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(calibrated())
