# SPDX-License-Identifier: Apache-2.0
"""The evaluator says what pycocotools says, on results with every kind of fault."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools_scores import by_pycocotools

from hrnet_pose_ros.coco.annotations import read_annotations
from hrnet_pose_ros.coco.evaluation import METRICS, evaluate_results

ROOT = Path(__file__).resolve().parents[2]
LABELS = json.loads((ROOT / "test" / "data" / "street_keypoints.json").read_text())


def perturbed(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations with groups, ignored persons and varying areas, and faulty results for them."""
    rng = np.random.default_rng(seed)
    truth = copy.deepcopy(LABELS)
    for person in truth["annotations"]:
        scale = float(10 ** rng.uniform(-1.5, 1.5))  # small, medium and large
        person["area"] *= scale
        person["bbox"][2:] = [side * scale**0.5 for side in person["bbox"][2:]]
        kind = rng.integers(8)
        if kind == 0:
            person["iscrowd"] = 1
        elif kind == 1:
            person["num_keypoints"], person["keypoints"] = 0, [0] * 51
    results = []
    for person in LABELS["annotations"]:
        labelled = np.array(person["keypoints"], float).reshape(17, 3)
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):  # missed, found, found twice
            size = np.sqrt(person["area"])
            points = labelled[:, :2] + rng.normal(0, rng.uniform(0, 0.15) * size, (17, 2))
            wrong = rng.random(17) < 0.1
            points[wrong] += rng.normal(0, size, (17, 2))[wrong]
            keypoints = np.column_stack([points, rng.random(17)])
            results.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "keypoints": keypoints.ravel().tolist(),
                    "score": round(float(rng.random()), 2),  # equal scores occur
                }
            )
        if rng.random() < 0.4:  # nobody is there
            points = np.column_stack([rng.uniform(0, 700, (17, 2)), np.ones(17)])
            results.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "keypoints": points.ravel().tolist(),
                    "score": float(rng.random()),
                }
            )
    for _ in range(25 if seed % 2 else 0):  # more than the 20 that count in an image
        results.append(dict(results[0], score=float(rng.random())))
    return truth, results


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_pycocotools(seed: int, tmp_path: Path) -> None:
    truth, results = perturbed(seed)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    scores = evaluate_results(read_annotations(path), results)
    expected = by_pycocotools(path, results)
    assert 0.02 < expected[0] < 0.98  # neither all right nor all wrong
    np.testing.assert_allclose([scores.values[m] for m in METRICS], expected, rtol=0, atol=1e-6)


def test_a_box_in_the_results_counts_as_with_pycocotools(tmp_path: Path) -> None:
    """The same results with and without ``bbox``: another APM and APL, by both evaluators alike."""
    truth, results = perturbed(3)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    boxed = [dict(one, bbox=[0.0, 0.0, 5.0, 5.0]) for one in results]  # all of them small
    plain, with_box = (
        evaluate_results(read_annotations(path), results),
        evaluate_results(read_annotations(path), boxed),
    )
    expected = by_pycocotools(path, boxed)
    np.testing.assert_allclose([with_box.values[m] for m in METRICS], expected, rtol=0, atol=1e-6)
    assert with_box.values["AP"] == pytest.approx(plain.values["AP"], abs=1e-9)
    # Unmatched results that are small do not count against medium and large persons.
    assert with_box.values["APM"] > plain.values["APM"]
    assert with_box.values["APL"] > plain.values["APL"]


def test_perfect_results_score_1(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(LABELS))
    results = [
        {"image_id": p["image_id"], "category_id": 1, "keypoints": p["keypoints"], "score": 0.5}
        for p in LABELS["annotations"]
    ]
    scores = evaluate_results(read_annotations(path), results)
    assert scores.values["AP"] == pytest.approx(1, abs=1e-9)
    assert scores.values["AR"] == pytest.approx(1, abs=1e-9)
    assert scores.precisions.shape == (len(scores.thresholds), len(scores.recalls))
    np.testing.assert_allclose(scores.precisions, 1, atol=1e-9)


def test_no_result_scores_0(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(LABELS))
    assert evaluate_results(read_annotations(path), []).values["AP"] == 0
    assert evaluate_results(read_annotations(path), []).values["AR"] == 0


def test_files_that_lack_fields(tmp_path: Path) -> None:
    """Area, group flag and number of key points follow from the rest."""
    truth, results = perturbed(0)
    for person in truth["annotations"]:
        person["area"] = person["bbox"][2] * person["bbox"][3]
        person["iscrowd"] = 0
    full, sparse = tmp_path / "full.json", tmp_path / "sparse.json"
    full.write_text(json.dumps(truth))
    for person in truth["annotations"]:
        del person["area"], person["iscrowd"], person["num_keypoints"]
    sparse.write_text(json.dumps(truth))
    assert (
        evaluate_results(read_annotations(sparse), results).values
        == evaluate_results(read_annotations(full), results).values
    )


def test_the_results_are_not_changed(tmp_path: Path) -> None:
    truth, results = perturbed(0)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    before = copy.deepcopy(results)
    evaluate_results(read_annotations(path), results)
    assert results == before


@pytest.mark.parametrize(
    "ids", [lambda n: n, lambda n: 7, lambda n: n // 2], ids=["from 0", "one", "pairs"]
)
def test_annotation_ids_do_not_matter(ids: Callable[[int], int], tmp_path: Path) -> None:
    truth, results = perturbed(1)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    expected = evaluate_results(read_annotations(path), results).values
    for number, person in enumerate(truth["annotations"]):
        person["id"] = ids(number)
    path.write_text(json.dumps(truth))
    assert evaluate_results(read_annotations(path), results).values == expected


@pytest.mark.parametrize("category", [0, 3])
def test_another_category_id_gives_the_same_figures(category: int, tmp_path: Path) -> None:
    truth, results = perturbed(2)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    expected = evaluate_results(read_annotations(path), results).values
    for one in (*truth["annotations"], *results):
        one["category_id"] = category
    truth["categories"][0]["id"] = category
    path.write_text(json.dumps(truth))
    annotations = read_annotations(path)
    assert evaluate_results(annotations, results).values == expected
    np.testing.assert_allclose(list(expected.values()), by_pycocotools(path, results), atol=1e-6)
    with pytest.raises(ValueError, match="result number 0 has category_id 1"):
        evaluate_results(annotations, [dict(results[0], category_id=1)])
    with pytest.raises(ValueError, match="image_id 123456"):
        evaluate_results(annotations, [dict(results[0], image_id=123456)])
