# SPDX-License-Identifier: Apache-2.0
"""Which engine the verbs evaluate and calibrate run, from the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrnet_pose_ros.engines.engine import PoseEngine
    from hrnet_pose_ros.pose.decoding import Method

YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True)
class EngineChoice:
    """Arguments of `make_engine` that matter to results."""

    model: str
    engine: str = "auto"
    precision: str = "auto"
    decoding: Method = "quarter"
    flip_test: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> EngineChoice:
        """What `add_engine_options` read."""
        return cls(
            model=options.model,
            engine=options.engine,
            precision=options.precision,
            decoding=options.decoding,
            flip_test=options.flip_test,
        )

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

    def make(self) -> PoseEngine:
        """The engine, ready."""
        from hrnet_pose_ros.engines.make_engine import make_engine

        return make_engine(
            self.model,
            engine=self.engine,
            precision=self.precision,
            decoding=self.decoding,
            flip_test=self.flip_test,
        )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """``MODEL --engine --precision --decoding --flip-test``"""
    from hrnet_pose_ros.engines.choose_engine import DECODINGS, ENGINES, PRECISIONS

    parser.add_argument("model", metavar="MODEL", help="a bundled name, or a path")
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--decoding", choices=DECODINGS, default="quarter")
    parser.add_argument("--flip-test", action="store_true", help="run every crop mirrored as well")
