# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from street_data import StreetData

from hrnet_pose_ros.pose.boxes import CropRule, cell_pitch, image_to_crop
from hrnet_pose_ros.pose.decoding import decode_heatmaps
from hrnet_pose_ros.skeleton import COCO17
from hrnet_pose_ros.training.augmentation import AugmentationConfig
from hrnet_pose_ros.training.crop_cache import open_cache
from hrnet_pose_ros.training.dataset import CropDataset, TrainingSet
from hrnet_pose_ros.training.sampling import CropSample, CropSchedule, StepBatchSampler
from hrnet_pose_ros.training.targets import target_heatmaps

Make = Callable[..., CropDataset]

INPUT = (192, 256)
NOTHING = AugmentationConfig(0, 0, 0, 0, 0)
MIRRORED = AugmentationConfig(0, 0, 0, 1, 0)


@pytest.fixture
def make(street: StreetData, tmp_path: Path) -> Make:
    cache = open_cache(street.annotations, street.images, INPUT, tmp_path)

    def dataset(
        augmentation: AugmentationConfig, seed: int = 1, crop: CropRule = "reference"
    ) -> CropDataset:
        sources = [TrainingSet(street.annotations, cache)]
        return CropDataset(sources, INPUT, [augmentation], seed, crop)

    return dataset


def draws(*numbers: int, epoch: int = 0) -> list[CropSample]:
    return [CropSample(0, number, epoch, place) for place, number in enumerate(numbers)]


def test_ignored_joints_are_not_learned_from(street: StreetData, tmp_path: Path) -> None:
    cache = open_cache(street.annotations, street.images, INPUT, tmp_path)
    nose, left_eye = 0, 1
    source = TrainingSet(street.annotations, cache, [nose, left_eye])
    batch = CropDataset([source], INPUT, [NOTHING], 1)[draws(0, 1, 2)]
    assert not batch.weights[:, [nose, left_eye]].any()
    labelled = street.annotations.labelled[cache.persons[:3]]
    assert batch.weights[:, 2:].bool().tolist() == labelled[:, 2:].tolist()
    assert labelled[:, [nose, left_eye]].any()  # they were there, and stay in the annotations


def test_each_epoch_has_its_augmentation_and_later_ones_the_last(
    street: StreetData, tmp_path: Path
) -> None:
    cache = open_cache(street.annotations, street.images, INPUT, tmp_path)
    dataset = CropDataset([TrainingSet(street.annotations, cache)], INPUT, [NOTHING, MIRRORED], 1)
    plain, mirrored, later = (dataset[draws(0, epoch=e)].crops[0] for e in (0, 1, 5))
    assert torch.equal(mirrored, later)
    assert not torch.equal(plain, mirrored)


def test_key_points_lie_where_the_crop_shows_them(make: Make, street: StreetData) -> None:
    dataset = make(NOTHING)
    person = dataset.sources[0].cache.persons[3]
    batch = dataset[draws(0, 3)]
    assert batch.crops.shape == (2, 256, 192, 3)
    assert batch.crops.dtype == torch.uint8
    transform = image_to_crop(street.annotations.boxes[person][None], INPUT)[0]
    expected = street.annotations.keypoints[person] @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(batch.keypoints[1].numpy(), expected, atol=1e-3)  # float32
    np.testing.assert_array_equal(batch.weights[1].numpy() > 0, street.annotations.labelled[person])


def test_left_and_right_change_places_in_a_mirrored_crop(make: Make) -> None:
    plain, mirrored = make(NOTHING)[draws(0)], make(MIRRORED)[draws(0)]
    # The mirror image about W/2 of a grid that begins at 0: column 0 has no partner.
    np.testing.assert_allclose(
        mirrored.crops[0, :, 1:].float(), plain.crops[0, :, 1:].flip(1).float(), atol=8
    )
    order = list(range(17))
    for left, right in COCO17.mirror_pairs:
        order[left], order[right] = right, left
    expected = plain.keypoints[0][order] * torch.tensor([-1.0, 1.0]) + torch.tensor([192.0, 0.0])
    torch.testing.assert_close(mirrored.keypoints[0], expected, atol=1e-3, rtol=0)
    assert mirrored.weights[0].tolist() == plain.weights[0][order].tolist()
    # Not a symmetric person: the exchange can be seen.
    assert not torch.allclose(mirrored.keypoints[0], plain.keypoints[0], atol=5)


def test_a_mirrored_crop_of_udp_is_the_mirror_image(make: Make) -> None:
    plain, mirrored = (make(a, crop="udp")[draws(0)] for a in (NOTHING, MIRRORED))
    # Every column has a partner. A sample between two steps of 1/32 px may take either.
    difference = (mirrored.crops[0].float() - plain.crops[0].flip(1).float()).abs()
    assert difference.max() <= 8
    assert (difference <= 1).float().mean() > 0.99
    order = COCO17.mirrored
    expected = plain.keypoints[0][order] * torch.tensor([-1.0, 1.0]) + torch.tensor([191.0, 0.0])
    torch.testing.assert_close(mirrored.keypoints[0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("crop", get_args(CropRule))
def test_targets_decode_to_the_labels(make: Make, crop: CropRule) -> None:
    batch = make(AugmentationConfig(half_body=0), crop=crop)[draws(*range(8))]
    pitch = cell_pitch(INPUT, (48, 64), crop)
    targets, weights = target_heatmaps(
        batch.keypoints, batch.weights, (48, 64), 2.0, True, pitch.tolist()
    )
    found = decode_heatmaps(targets.numpy(), "dark", 2, crop)
    cells = batch.keypoints.numpy() / pitch
    inside = (weights > 0).numpy() & ((cells > 3) & (cells < (44, 60))).all(-1)
    assert inside.sum() > 60
    # DARK's step on a whole Gaussian: 0.1 cell.
    np.testing.assert_allclose(found.points[inside], cells[inside], atol=0.1)


def test_a_crop_is_a_function_of_seed_epoch_and_place(make: Make) -> None:
    dataset = make(AugmentationConfig(colour=0.2))
    first = dataset[draws(0, 1, 2)]
    again = make(AugmentationConfig(colour=0.2))[draws(0, 1, 2)[2:]]
    torch.testing.assert_close(again.crops[0], first.crops[2], atol=0, rtol=0)
    torch.testing.assert_close(again.keypoints[0], first.keypoints[2], atol=0, rtol=0)
    for other in (dataset[draws(0, epoch=1)], make(AugmentationConfig(colour=0.2), 2)[draws(0)]):
        assert (other.crops[0] != first.crops[0]).any()


def test_data_sets_are_drawn_by_their_weights_and_each_person_as_often() -> None:
    order = CropSchedule([30, 50], [4, 1], epoch_crops=100, seed=3)
    counts: Counter[tuple[int, int]] = Counter()
    for epoch in range(15):
        drawn = order.epoch(epoch)
        assert Counter(draw.source for draw in drawn) == {0: 80, 1: 20}
        assert [draw.place for draw in drawn] == list(range(100))
        counts.update((draw.source, draw.number) for draw in drawn)
    # 1200 and 300 draws: all rounds are whole.
    assert set(counts.values()) == {1200 // 30, 300 // 50}
    assert len(counts) == 80


def test_epochs_differ_and_are_mixed() -> None:
    order = CropSchedule([30, 50], [1, 1], epoch_crops=60, seed=3)
    one, two = ([draw[:2] for draw in order.epoch(epoch)] for epoch in (0, 1))
    assert one != two
    assert one == [draw[:2] for draw in CropSchedule([30, 50], [1, 1], 60, 3).epoch(0)]
    assert {draw[0] for draw in one[:20]} == {0, 1}


@given(start=st.integers(0, 30), processes=st.sampled_from([1, 2, 4]))
def test_a_resumed_order_is_the_rest_of_the_whole_one(start: int, processes: int) -> None:
    order = CropSchedule([17], [1], epoch_crops=50, seed=1)
    whole = list(StepBatchSampler(order, 8, range(31)))
    rest = [
        list(StepBatchSampler(order, 8, range(start, 31), rank, processes))
        for rank in range(processes)
    ]
    for number in range(31 - start):
        shared = [draw for part in rest for draw in part[number]]
        assert sorted(shared) == sorted(whole[start + number])
        assert all(len(part[number]) == 8 // processes for part in rest)


def test_a_batch_that_cannot_be_shared_or_filled_is_an_error() -> None:
    order = CropSchedule([17], [1], epoch_crops=50, seed=1)
    with pytest.raises(ValueError, match="a batch of 9 crops cannot be split over 2 processes"):
        StepBatchSampler(order, 9, range(3), 0, 2)
    with pytest.raises(ValueError, match="an epoch of 50 crops does not fill a batch of 64"):
        order.steps_per_epoch(64)
