# SPDX-License-Identifier: Apache-2.0
"""The engine's options: the node's parameters on the command line."""

from __future__ import annotations

import argparse

import pytest

from hrnet_pose_ros.cli.engine_options import (
    ENGINE_PARAMETERS,
    EngineChoice,
    add_engine_options,
    given_engine_options,
)
from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.pipeline.settings import BY_NAME, Settings


def options_of(*words: str, model_option: bool = True) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_engine_options(parser, model_option=model_option)
    return parser.parse_args(words)


def test_what_is_left_out_is_the_parameters_default() -> None:
    assert given_engine_options(options_of()) == {}
    choice = EngineChoice.of(options_of())
    settings = Settings.of({})
    for name in {"model", *ENGINE_PARAMETERS} - {"streams"}:
        assert getattr(choice, name) in (getattr(settings, name), None), name
    # The node measures; a verb computes the same batches in every run.
    assert (settings.streams, choice.streams) == (0, 1)
    assert choice.max_batch is None  # the engine's own, which is the parameter's


def test_what_is_given_is_the_parameters_value() -> None:
    words = "--model mine.onnx --engine openvino --precision int8 --decoding dark --flip-test"
    given = given_engine_options(
        options_of(*words.split(), "--max-batch", "4", "--threads", "2", "--streams", "3")
    )
    assert given == {
        "model": "mine.onnx",
        "engine": "openvino",
        "precision": "int8",
        "decoding": "dark",
        "flip_test": True,
        "max_batch": 4,
        "threads": 2,
        "streams": 3,
    }
    assert vars(EngineChoice.of(options_of(*words.split()))) == {
        **given,
        "max_batch": None,
        "threads": 0,
        "streams": 1,
    }
    assert given_engine_options(options_of("--no-flip-test")) == {"flip_test": False}


def test_the_model_may_be_an_argument() -> None:
    assert EngineChoice.of(options_of("mine", model_option=False)) == EngineChoice("mine")


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--engine", "gpu"], "tensorrt"),
        (["--max-batch", "0"], "parameter max_batch is 0; allowed: 1 to 128"),
        (["--max-batch", "many"], "parameter max_batch is 'many'; allowed: integer"),
        (["--threads", "-1"], "0 to 256"),
    ],
)
def test_a_wrong_value_is_named(
    words: list[str], allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options_of(*words)
    assert allowed in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["estimate", "evaluate", "calibrate", "replay"])
def test_every_verb_that_runs_an_engine_has_them_all(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    for name in ENGINE_PARAMETERS:
        assert f" --{name.replace('_', '-')}" in help_text
        first = BY_NAME[name].description.split(".")[0].split(";")[0].replace("`", "")
        assert first.replace(" ", "") in help_text.replace(" ", "")  # wherever a line breaks


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("precision=bfloat16", {"precision": "bfloat16"}),
        ("other", {"model": "other"}),
        ("other,engine=torch,flip-test=yes", {"model": "other", "engine": "torch"}),
        ("decoding=dark", {"decoding": "dark"}),
    ],
)
def test_against(text: str, changed: dict) -> None:
    choice = EngineChoice("one").changed(text)
    for name, value in changed.items():
        assert getattr(choice, name) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "changes nothing"),
        ("one,decoding=quarter", "changes nothing"),
        ("two,three", "names 2 models"),
        ("precision=float64", "must be one of"),
        ("flip=yes", "must be one of"),
    ],
)
def test_against_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EngineChoice("one").changed(text)
