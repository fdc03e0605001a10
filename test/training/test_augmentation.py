# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.training.augmentation import AugmentationConfig, change_pixels, place_crop

INPUT = (192, 256)
BOX = np.array([100.0, 50.0, 80.0, 200.0])
FEW = np.zeros(17, bool)
FEW[:8] = True  # not more than 8: never a half body
NOTHING = AugmentationConfig(scale=0, rotation_deg=0, rotation_probability=0, flip=0, half_body=0)


def points(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((100, 50), (180, 250), (17, 2))


def placements(
    config: AugmentationConfig, labelled: np.ndarray = FEW, count: int = 4000
) -> tuple[np.ndarray, np.ndarray]:
    """crop_to_image ``[count, 2, 3]`` and mirrored ``[count]``, from one generator."""
    random = np.random.default_rng(3)
    made = [place_crop(BOX, points(), labelled, INPUT, config, random) for _ in range(count)]
    return np.array([m.crop_to_image for m in made]), np.array([m.mirrored for m in made])


def test_without_augmentation_a_crop_is_the_vehicles() -> None:
    placement = place_crop(BOX, points(), FEW, INPUT, NOTHING, np.random.default_rng(0))
    np.testing.assert_allclose(
        placement.crop_to_image, crop_to_image(BOX[None], INPUT)[0], atol=1e-12
    )
    assert not placement.mirrored


def test_scales_turns_and_mirrors_are_drawn_as_in_the_reference() -> None:
    transforms, mirrored = placements(AugmentationConfig())
    plain = crop_to_image(BOX[None], INPUT)[0, 0, 0]
    linear = transforms[:, :, :2]
    scales = np.sqrt(np.abs(np.linalg.det(linear))) / plain
    turns = np.rad2deg(np.arctan2(-linear[:, 0, 1], linear[:, 1, 1]))
    # Standard errors at 4000 draws: 0.004 for the mean scale, 0.008 for a probability.
    assert scales.min() == pytest.approx(0.65)
    assert scales.max() == pytest.approx(1.35)
    assert scales.mean() == pytest.approx(1, abs=0.02)
    assert np.mean(scales < 0.6501) == pytest.approx(0.159, abs=0.03)  # P(N < -1 sigma)
    turned = np.abs(turns) > 1e-9
    assert turned.mean() == pytest.approx(0.6, abs=0.04)
    assert np.abs(turns).max() == pytest.approx(90)
    assert np.mean(np.abs(turns[turned]) > 89.999) == pytest.approx(0.0455, abs=0.02)
    assert np.mean(np.abs(turns[turned]) < 45) == pytest.approx(0.683, abs=0.04)
    assert mirrored.mean() == pytest.approx(0.5, abs=0.04)
    assert (np.linalg.det(linear) < 0).tolist() == mirrored.tolist()


def test_the_centre_of_the_box_stays_the_centre_of_the_crop() -> None:
    transforms, _ = placements(AugmentationConfig(), count=200)
    centres = transforms[:, :, :2] @ (96, 128) + transforms[:, :, 2]
    np.testing.assert_allclose(centres, np.tile((140.0, 150.0), (200, 1)), atol=1e-9)


def test_a_mirrored_crop_is_the_mirror_image_about_its_middle() -> None:
    config = AugmentationConfig(
        scale=0, rotation_deg=0, rotation_probability=0, flip=1, half_body=0
    )
    placement = place_crop(BOX, points(), FEW, INPUT, config, np.random.default_rng(0))
    plain = crop_to_image(BOX[None], INPUT)[0]
    x, y = 30.0, 77.0  # W - x is shown where x was
    np.testing.assert_allclose(
        placement.crop_to_image @ (x, y, 1), plain @ (192 - x, y, 1), atol=1e-9
    )


@pytest.mark.parametrize("seed", range(20))
def test_augmented_crops_of_udp_turn_scale_and_mirror_the_picture(seed: int) -> None:
    """Whatever is drawn, the crop's middle (W-1)/2 stays, and the picture is turned without shear
    though a crop pixel of UDP is no square."""
    config = AugmentationConfig(flip=0.5, rotation_probability=1, half_body=0)
    made = place_crop(BOX, points(), FEW, INPUT, config, np.random.default_rng(seed), crop="udp")
    np.testing.assert_allclose(made.crop_to_image @ (95.5, 127.5, 1), (140, 150), atol=1e-9)
    plain = crop_to_image(BOX[None], INPUT, "udp")[0]
    # From the plain crop's place in the picture to the augmented one's: a similarity.
    change = made.crop_to_image[:, :2] @ np.linalg.inv(plain[:, :2])
    side = -1 if made.mirrored else 1
    np.testing.assert_allclose(change[:, 0] * side, (change[1, 1], -change[0, 1]), atol=1e-12)
    assert 0.65 - 1e-9 <= np.hypot(*change[:, 1]) <= 1.35 + 1e-9


def test_half_bodies_are_crops_about_the_upper_or_the_lower_joints() -> None:
    everything = np.ones(17, bool)
    config = AugmentationConfig(
        scale=0, rotation_deg=0, rotation_probability=0, flip=0, half_body=0.3
    )
    transforms, _ = placements(config, everything)
    centres = transforms[:, :, :2] @ (96, 128) + transforms[:, :, 2]
    upper, lower = points()[:11], points()[11:]
    whole, up, down = (
        np.linalg.norm(centres - c, axis=1) < 1e-6
        for c in ((140.0, 150.0), upper.mean(axis=0), lower.mean(axis=0))
    )
    # Standard error 0.007; the upper body is P(N < 0.5) = 0.691 of the half bodies.
    assert whole.mean() == pytest.approx(0.7, abs=0.03)
    assert up.mean() == pytest.approx(0.3 * 0.691, abs=0.03)
    assert down.mean() == pytest.approx(0.3 * 0.309, abs=0.03)
    sides = upper.max(axis=0) - upper.min(axis=0)
    width = 1.5 * max(sides[0], sides[1] * 0.75)
    np.testing.assert_allclose(transforms[up, 0, 0], width / 192)


def test_no_half_body_where_eight_joints_are_labelled() -> None:
    transforms, _ = placements(AugmentationConfig(scale=0, half_body=1.0), FEW, 300)
    centres = transforms[:, :, :2] @ (96, 128) + transforms[:, :, 2]
    np.testing.assert_allclose(centres, np.tile((140.0, 150.0), (300, 1)), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    scale=st.floats(0, 0.35),
    turn=st.floats(0, 90),
    flip=st.sampled_from([0.0, 1.0]),
)
def test_every_placement_keeps_the_shape_of_things(
    seed: int, scale: float, turn: float, flip: float
) -> None:
    config = AugmentationConfig(scale, turn, 1.0, flip, 0.5)
    placement = place_crop(
        BOX, points(), np.ones(17, bool), INPUT, config, np.random.default_rng(seed)
    )
    linear = placement.crop_to_image[:, :2]
    np.testing.assert_allclose(  # equal scale on both axes, no shear
        linear @ linear.T, np.eye(2) * abs(np.linalg.det(linear)), atol=1e-9
    )
    assert placement.mirrored == (np.linalg.det(linear) < 0)


def test_the_same_seed_gives_the_same_crop() -> None:
    config = AugmentationConfig(colour=0.2, blur=0.5, low_resolution=0.5, cut_out=0.5)
    crop = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)

    def made(seed: int) -> np.ndarray:
        return change_pixels(crop.copy(), config, np.random.default_rng(seed))

    np.testing.assert_array_equal(made(5), made(5))
    assert any((made(5) != made(other)).any() for other in (6, 7))


def test_pixels_are_left_alone_by_default() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    changed = change_pixels(crop.copy(), AugmentationConfig(), np.random.default_rng(0))
    np.testing.assert_array_equal(changed, crop)


@pytest.mark.parametrize("name", ["colour", "blur", "low_resolution", "cut_out"])
def test_every_change_of_the_pixels_changes_them_and_keeps_the_picture(name: str) -> None:
    y, x = np.mgrid[:128, :96]
    crop = np.stack([80 + x, 60 + y, 128 + 40 * np.sin(x / 2)], axis=2).astype(np.uint8)
    config = AugmentationConfig(**{name: 0.15 if name == "colour" else 1.0})
    changed = change_pixels(crop.copy(), config, np.random.default_rng(1))
    assert changed.shape == crop.shape
    assert changed.dtype == np.uint8
    assert (changed != crop).any()
    similarity = np.corrcoef(changed.ravel(), crop.ravel())[0, 1]
    assert similarity > 0.5  # it still shows the same


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"flip must be between 0 and 1, got 1\.5"):
        AugmentationConfig(flip=1.5)


def test_the_smallest_box_that_has_a_crop_can_be_made_smaller() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        placement = place_crop(
            np.array([5.0, 5.0, 1.0, 1.0]), points(), FEW, INPUT, AugmentationConfig(), random
        )
        assert np.isfinite(placement.crop_to_image).all()
