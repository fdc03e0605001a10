# SPDX-License-Identifier: Apache-2.0
"""Which engine a verb runs, from the command line.

The options are parameters of the node (`pipeline/settings.py`): names, values, ranges and help are
those of the parameters, so that what is tried with a verb can be written into a parameter file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrnet_pose_ros.engines.engine import PoseEngine
    from hrnet_pose_ros.pipeline.parameter import Parameter
    from hrnet_pose_ros.pose.decoding import Method
    from hrnet_pose_ros.skeleton import SkeletonDefinition

ENGINE_PARAMETERS = (
    *("engine", "precision", "decoding", "flip_test", "max_batch", "threads", "streams"),
)

YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True)
class EngineChoice:
    """Arguments of `make_engine` that verbs take."""

    model: str
    engine: str = "auto"
    precision: str = "auto"
    decoding: Method = "quarter"
    flip_test: bool = False
    max_batch: int | None = None
    threads: int = 0
    streams: int = 1  # not measured: every run computes the same batches

    @classmethod
    def of(cls, options: argparse.Namespace) -> EngineChoice:
        """What the options of `add_engine_options` say; defaults for what was not given."""
        from hrnet_pose_ros.pipeline.settings import BY_NAME

        return cls(**{"model": BY_NAME["model"].default, **given_engine_options(options)})

    def changed(self, text: str) -> EngineChoice:
        """This choice with ``[MODEL][,NAME=VALUE...]`` put over it.

        Raises
        ------
        ValueError
            A name or value is unknown, or there are two models, or nothing changes.
        """
        from hrnet_pose_ros.engines.choose_engine import DECODINGS, ENGINES, PRECISIONS

        allowed = {
            "engine": ENGINES,
            "precision": PRECISIONS,
            "decoding": DECODINGS,
            "flip-test": tuple(YES_NO),
        }
        choice, models = self, 0
        for part in filter(None, text.split(",")):
            name, is_setting, value = part.partition("=")
            if not is_setting:
                choice, models = replace(choice, model=part), models + 1
            elif value not in allowed.get(name, ()):
                raise ValueError(
                    f"--against '{part}': NAME=VALUE must be one of "
                    + "; ".join(f"{n}={'|'.join(v)}" for n, v in allowed.items())
                )
            elif name == "flip-test":
                choice = replace(choice, flip_test=YES_NO[value])
            else:
                choice = replace(choice, **{name: value})  # type: ignore[arg-type]
        if models > 1:
            raise ValueError(f"--against '{text}' names {models} models; name one at most")
        if choice == self:
            raise ValueError(f"--against '{text}' changes nothing")
        return choice

    def skeleton(self) -> SkeletonDefinition | None:
        """The skeleton that the model's file defines, so that data can be checked before an engine
        is made; None for a checkpoint, whose engine finds it out."""
        from hrnet_pose_ros.engines.choose_engine import choose_engine

        asked = (self.model, self.engine, self.precision, self.decoding, self.flip_test)
        file = choose_engine(*asked).file
        if file is None or file.kind == "checkpoint":
            return None
        return (file.end2end().model if file.kind == "end2end" else file.heatmaps()).skeleton

    def make(self) -> PoseEngine:
        """The engine, ready."""
        from hrnet_pose_ros.engines.make_engine import make_engine

        return make_engine(
            **{name: value for name, value in vars(self).items() if value is not None}
        )


def add_engine_options(parser: argparse.ArgumentParser, *, model_option: bool = False) -> None:
    """``MODEL``, or ``--model MODEL``, and an option for each of `ENGINE_PARAMETERS`.

    What is not given is None, so that a parameter file can decide (`given_engine_options`).
    """
    if model_option:
        add_parameter_option(parser, "model", metavar="MODEL")
    else:
        from hrnet_pose_ros.pipeline.settings import BY_NAME

        parser.add_argument("model", metavar="MODEL", help=plain_text(BY_NAME["model"]))
    for name in ENGINE_PARAMETERS:
        add_parameter_option(parser, name)


def given_engine_options(options: argparse.Namespace) -> dict[str, Any]:
    """``{parameter: value}`` of the options of `add_engine_options` that were given."""
    names = ("model", *ENGINE_PARAMETERS)
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def add_parameter_option(
    parser: argparse._ActionsContainer,
    name: str,
    *,
    option: str | None = None,
    choices: Sequence[str] | None = None,
    default: Any = None,
    type: Callable[[str], Any] | None = None,
    metavar: str | None = None,
) -> None:
    """An option that says what a parameter of the node says; None where it is not given.

    Parameters
    ----------
    name
        Of the parameter; the option is ``--name-with-hyphens``.
    option
        The option's name without the hyphens, where it is another one.
    choices
        Those of the parameter's choices that this verb takes.
    default
        What this verb takes where the option is not given, for the help; else the parameter's.
    type, metavar
        As argparse has them, where not the parameter's own.
    """
    from hrnet_pose_ros.pipeline.settings import BY_NAME

    parameter = BY_NAME[name]
    option = option or name.replace("_", "-")
    default = parameter.default if default is None else default
    arguments: dict[str, Any] = {"help": plain_text(parameter)}
    if not isinstance(default, bool):
        arguments["help"] += f" (default {default})"
    if isinstance(parameter.default, bool):
        arguments["action"] = argparse.BooleanOptionalAction
    elif choices or parameter.choices:
        arguments["choices"] = choices or parameter.choices
    else:
        arguments["type"] = type or _value_of(parameter)
        arguments["metavar"] = metavar or ("N" if isinstance(parameter.default, int) else None)
    parser.add_argument(f"--{option}", dest=name, **arguments)


def plain_text(parameter: Parameter) -> str:
    """A parameter's description as argparse takes it."""
    return parameter.description.replace("`", "").replace("%", "%%").rstrip(".")


def _value_of(parameter: Parameter) -> Callable[[str], Any]:
    """Read and check a parameter's value: an argparse ``type``."""
    from hrnet_pose_ros.pipeline.parameter import ParameterError

    kind = parameter.default.__class__

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = text  # the parameter says what is allowed
        try:
            return parameter.checked(value)
        except ParameterError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read
