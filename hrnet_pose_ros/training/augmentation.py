# SPDX-License-Identifier: Apache-2.0
"""Random augmentation of training crops: first their placement, then their pixels.

The caller seeds the random generator with (seed, epoch, index), so a crop is identical after a
resume and in any process.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrnet_pose_ros.pose.boxes import PADDING, CropRule, crop_middle, crop_to_image
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

HALF_BODY_MIN_JOINTS = 8  # half bodies need more labelled joints than this (reference)
MAX_SCALE = 0.35  # largest relative change of the box size (reference)
HALF_BODY_PADDING = 1.5  # around the joints of a half body, instead of 1.25 (reference)


@dataclass(frozen=True)
class AugmentationConfig:
    """Strength of the augmentation. The defaults are those of the reference, without pixel changes.

    Attributes
    ----------
    scale
        The box is multiplied by ``clip(N(1, scale), 1 - scale, 1 + scale)``; 0.35 at most, because
        the crop cache stores no more of the image.
    rotation_deg, rotation_probability
        With this probability the crop is rotated by ``clip(N(0, r), -2r, 2r)`` degrees.
    flip
        Probability that the crop is mirrored.
    half_body
        Probability of a crop around the upper or the lower body only, if more than 8 joints are
        labelled.
    colour
        Strength of the changes of brightness, contrast, saturation and colour balance:
        the standard deviation of each gain.
    blur, low_resolution, cut_out
        Probabilities of a Gaussian blur, of downscaling and upscaling the crop, and of one
        rectangle filled with a single colour.
    """

    scale: float = 0.35
    rotation_deg: float = 45.0
    rotation_probability: float = 0.6
    flip: float = 0.5
    half_body: float = 0.3
    colour: float = 0.0
    blur: float = 0.0
    low_resolution: float = 0.0
    cut_out: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = {"scale": MAX_SCALE, "rotation_deg": 90.0}.get(name, 1.0)
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be between 0 and {most:g}, got {value}")

    def weakened(self, strength: float) -> AugmentationConfig:
        """The same augmentation scaled by ``strength`` (0 to 1), except for mirroring.

        Mirrored people look as natural as others, so mirroring needs no weaker start.
        """
        values = {name: value * strength for name, value in vars(self).items()}
        return AugmentationConfig(**values | {"flip": self.flip})


@dataclass(frozen=True)
class Placement:
    """Where a crop lies: ``crop_to_image`` float64 ``[2, 3]``, and whether it is mirrored."""

    crop_to_image: np.ndarray
    mirrored: bool


def place_crop(
    box: np.ndarray,
    keypoints: np.ndarray,
    labelled: np.ndarray,
    input_size: tuple[int, int],
    config: AugmentationConfig,
    random: np.random.Generator,
    skeleton: SkeletonDefinition = COCO17,
    crop: CropRule = "reference",
) -> Placement:
    """Choose the crop of a person: box, scale, rotation, mirroring (in the order of the reference).

    Parameters
    ----------
    box
        float ``[4]``: x, y, width, height in image pixels.
    keypoints, labelled
        float ``[J, 2]`` in image pixels and bool ``[J]``.
    input_size
        (width, height) of the crop in pixels.
    skeleton
        The definition of the J joints. One without joints of the lower body has no half bodies.
    crop
        The crop rule that the network is trained with.
    """
    halves = 0 < len(skeleton.lower_body) < skeleton.joints
    enough = halves and labelled.sum() > HALF_BODY_MIN_JOINTS
    if enough and random.random() < config.half_body:
        box = _half_body(keypoints, labelled, input_size, random, skeleton)
    scale = float(np.clip(random.normal(1, config.scale), 1 - config.scale, 1 + config.scale))
    angle = 0.0
    if random.random() < config.rotation_probability:
        r = config.rotation_deg
        angle = float(np.clip(random.normal(0, r), -2 * r, 2 * r))
    mirrored = bool(random.random() < config.flip)
    plain = crop_to_image(box[None], input_size, crop)[0]
    change = _about_centre(scale, angle, mirrored, crop_middle(input_size, crop), np.diag(plain))
    return Placement(plain @ change, mirrored)


def _half_body(
    keypoints: np.ndarray,
    labelled: np.ndarray,
    input_size: tuple[int, int],
    random: np.random.Generator,
    skeleton: SkeletonDefinition,
) -> np.ndarray:
    """A box around the joints of the upper or the lower body.

    Of a half with fewer than 3 labelled joints the other one is taken. More than 8 joints are
    labelled, so that one has enough.
    """
    below = np.zeros(skeleton.joints, bool)
    below[list(skeleton.lower_body)] = True
    upper, lower = np.flatnonzero(labelled & ~below), np.flatnonzero(labelled & below)
    # The reference compares a normal deviate, so the upper body is chosen in 69 % of the cases.
    take_upper = random.normal() < 0.5 and len(upper) > 2
    chosen = keypoints[upper if take_upper or len(lower) <= 2 else lower]
    sides = chosen.max(axis=0) - chosen.min(axis=0)
    aspect = input_size[0] / input_size[1]
    width = max(sides[0], sides[1] * aspect, 1.0) * HALF_BODY_PADDING / PADDING
    sides = np.array([width, width / aspect])
    return np.concatenate([chosen.mean(axis=0) - sides / 2, sides])


def _about_centre(
    scale: float, angle_deg: float, mirrored: bool, middle: np.ndarray, pixel: np.ndarray
) -> np.ndarray:
    """``[3, 3]`` transform of a crop about its middle; the mirror image of x is 2·middle - x.

    ``pixel`` is a crop pixel's width and height in the image, in which the rotation is one.
    """
    x, y = middle
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    side = -1.0 if mirrored else 1.0
    linear = scale * np.array([[cos * side, -sin], [sin * side, cos]])
    linear *= pixel / pixel[:, None]  # all 1 by the reference's crop rule, whose pixels are square
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (x, y) - linear @ (x, y)
    return matrix


def change_pixels(
    crop: np.ndarray, config: AugmentationConfig, random: np.random.Generator
) -> np.ndarray:
    """Change colour and sharpness of ``crop`` uint8 ``[H, W, 3]`` and mask a part of it."""
    height, width = crop.shape[:2]
    if config.low_resolution and random.random() < config.low_resolution:
        part = random.uniform(0.25, 0.7)
        small = (max(8, round(width * part)), max(8, round(height * part)))
        crop = cv2.resize(
            cv2.resize(crop, small, interpolation=cv2.INTER_AREA),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
    elif config.blur and random.random() < config.blur:
        sigma = random.uniform(0.4, 1.6) * height / 256
        crop = cv2.GaussianBlur(crop, (0, 0), sigma)
    if config.colour:
        crop = cv2.transform(crop, _colour_matrix(config.colour, random))
    if config.cut_out and random.random() < config.cut_out:
        crop = np.ascontiguousarray(crop)
        sides = random.uniform(0.1, 0.35, 2) * (width, height)
        x, y = random.uniform(0, (width, height)) - sides / 2
        x2, y2 = int(x + sides[0]), int(y + sides[1])
        crop[max(0, int(y)) : max(0, y2), max(0, int(x)) : max(0, x2)] = random.integers(0, 256, 3)
    return crop


def _colour_matrix(strength: float, random: np.random.Generator) -> np.ndarray:
    """float ``[3, 4]`` on RGB in 0..255: saturation, then contrast about grey, then gains."""
    gains = 1 + strength * np.clip(random.normal(size=6), -2, 2)
    saturation, contrast, brightness = gains[:3]
    grey = np.array([0.299, 0.587, 0.114])
    matrix = saturation * np.eye(3) + (1 - saturation) * grey
    matrix = (1 + (gains[3:] - 1) / 2)[:, None] * matrix * contrast
    offset = np.full((3, 1), 128 * (1 - contrast) + 128 * (brightness - 1))
    return np.hstack([matrix, offset])
