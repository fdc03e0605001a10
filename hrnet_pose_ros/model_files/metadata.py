# SPDX-License-Identifier: Apache-2.0
"""What a model file says about itself: everything an engine must know besides the graph.

The export writes these facts into the ONNX file (``metadata_props``), engines read them back, so
that no second file and no parameter can contradict the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition, SkeletonError

# Raised when a key changes its meaning; engines refuse other formats.
FORMAT_VERSION = 1
KEY_PREFIX = "hrnet_pose."

# ImageNet statistics of RGB values in [0, 1]; those of every published HRNet pose model. Weights
# trained on BGR images were trained with the same numbers in the same places.
MEAN: tuple[float, float, float] = (0.485, 0.456, 0.406)
STD: tuple[float, float, float] = (0.229, 0.224, 0.225)

# Order of the channels that the weights were trained on. Engines feed RGB to every model: an
# exported graph whose weights want BGR turns the channels itself.
COLOUR_ORDERS = ("rgb", "bgr")

STRIDE = 4  # crop pixels per heatmap cell

# Sigmas of training targets, in cells, for which a decoding is defined (pose/decoding.py).
TARGET_SIGMAS = (2.0, 3.0)


_UNREADABLE = object()  # None is a value of JSON

# Persons whose key points must have been compared before a model in 8 bits may run: with fewer the
# mean OKS says little. One model kept 0.994 on 4 crops and 0.963 on 564 other persons.
LEAST_JUDGED = 200

# What a file computes: heatmaps of crops, or the poses in a camera image (End2EndGraphMetadata).
Graph = Literal["heatmaps", "end2end"]

# What an end-to-end graph's network computes with.
GRAPH_PRECISIONS = ("float16", "float32", "int8")


class ModelError(ValueError):
    """A model file is missing, or is not what it should be."""


def usual_target_sigma(input_size: tuple[int, int]) -> float:
    """Sigma (cells) of the training target that the reference uses at this input size.

    2 cells at 256x192 (height x width), 3 cells at 384x288.
    """
    return 3.0 if input_size[1] >= 384 else 2.0


@dataclass(frozen=True)
class Int8Judgement:
    """How a model in 8 bits did against float32 when it was made.

    Attributes
    ----------
    calibrated
        Persons that its quantisation was calibrated on.
    persons
        Other persons, on whom it was judged.
    mean_oks
        Their mean OKS against float32, in [0, 1].
    """

    calibrated: int
    persons: int
    mean_oks: float

    def __post_init__(self) -> None:
        counts = (self.calibrated, self.persons)
        if not (all(type(n) is int and n >= 0 for n in counts) and 0 <= self.mean_oks <= 1):
            raise ModelError(f"no judgement of a model in 8 bits: {self}")


@dataclass(frozen=True)
class ModelMetadata:
    """Facts about a model.

    Attributes
    ----------
    name
        The model's name, by default its file name without suffix.
    configuration
        Name of the network configuration (``hrnet_w32``).
    input_width, input_height
        Crop size in pixels; heatmaps are a quarter of it.
    target_sigma
        Sigma of the Gaussian targets in heatmap cells; DARK decoding depends on it.
    flip_shift
        Whether a mirrored heatmap is shifted one column right in a flip test; never with UDP.
    checkpoint_sha256
        Checksum of the checkpoint that the weights came from.
    package_version
        Version of this package that wrote the file.
    colour_order
        One of `COLOUR_ORDERS`: what the weights were trained on. The graph takes RGB either way.
    calibrations
        What `hrnet_pose calibrate` found, in JSON's types, by decoding and flip test
        (pose/uncertainty.py); usually empty or of one entry.
    quantized
        Whether a heatmap graph's convolutions compute in 8 bits (`hrnet_pose quantize`); a pose
        graph says that in `End2EndGraphMetadata.precision`.
    int8_judgement
        Of a graph of either kind that computes in 8 bits; None where nothing is known.
    skeleton
        The definition of the joints, in the order of the heatmaps. A file without it, as earlier
        versions wrote, has COCO's joints.
    crop
        The crop rule that the weights were trained with: it places crops and heatmap cells, and
        says which form of DARK decodes them.
    """

    name: str
    configuration: str
    input_width: int
    input_height: int
    target_sigma: float
    flip_shift: bool
    checkpoint_sha256: str
    package_version: str
    colour_order: str = "rgb"
    calibrations: Mapping[str, Any] = field(default_factory=dict, hash=False)
    quantized: bool = False
    int8_judgement: Int8Judgement | None = None
    skeleton: SkeletonDefinition = COCO17
    crop: CropRule = "reference"

    def __post_init__(self) -> None:
        if min(self.input_size) < 32 or self.input_width % 32 or self.input_height % 32:
            raise ModelError(
                "the input's sides must be multiples of 32 px (the lowest resolution of HRNet "
                f"is 1/32), got {self.input_width}x{self.input_height} (width x height)"
            )
        if self.target_sigma not in TARGET_SIGMAS:
            raise ModelError(
                f"target sigma must be one of {TARGET_SIGMAS} cells, got {self.target_sigma}"
            )
        if self.colour_order not in COLOUR_ORDERS:
            raise ModelError(
                f"colour order must be one of {', '.join(COLOUR_ORDERS)}; got {self.colour_order!r}"
            )
        if self.crop not in get_args(CropRule):
            raise ModelError(
                f"crop rule must be one of {', '.join(get_args(CropRule))}; got {self.crop!r}"
            )
        if self.crop == "udp" and self.flip_shift:
            raise ModelError(
                "weights of UDP need no shift in a flip test (their crops and heatmaps have the "
                "same middle as their mirror images): say flip_shift false, --no-flip-shift"
            )

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of a crop in pixels."""
        return (self.input_width, self.input_height)

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """(width, height) of a heatmap in cells."""
        return (self.input_width // STRIDE, self.input_height // STRIDE)

    def with_calibrations_of(self, other: ModelMetadata | None) -> ModelMetadata:
        """These facts with the calibrations of another file of the same weights.

        Unchanged where ``other`` is None or differs in anything that moves a key point or a
        peak: weights, input size, crop rule, sigma, flip rule, colour order, 8 bits.
        """
        if other is None:
            return self
        same = replace(
            other, name=self.name, package_version=self.package_version, calibrations={}
        ) == replace(self, calibrations={})
        return replace(self, calibrations=other.calibrations) if same else self

    def to_properties(self) -> dict[str, str]:
        """As ONNX ``metadata_props``: prefixed keys, values in JSON."""
        values: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "configuration": self.configuration,
            "skeleton": self.skeleton.name,
            "joint_names": self.skeleton.joint_names,
            "skeleton_definition": self.skeleton.to_json(),
            "input_size": self.input_size,
            "colour_order": self.colour_order,
            "mean": MEAN,
            "std": STD,
            "target_sigma": self.target_sigma,
            "flip_shift": self.flip_shift,
            "crop": self.crop,
            "checkpoint_sha256": self.checkpoint_sha256,
            "package_version": self.package_version,
        }
        if self.calibrations:
            values["calibrations"] = self.calibrations
        if self.quantized:
            values["quantized"] = True
        if self.int8_judgement is not None:
            values["int8_judgement"] = asdict(self.int8_judgement)
        return {KEY_PREFIX + key: json.dumps(value) for key, value in values.items()}

    @classmethod
    def from_properties(
        cls, properties: Mapping[str, str], graph: Graph = "heatmaps"
    ) -> ModelMetadata:
        """Read back what ``to_properties`` wrote; other properties are left alone.

        Raises
        ------
        ModelError
            Where the facts are missing or of another format version, the skeleton's definition
            is missing or damaged, or the file holds another graph than ``graph``.
        """
        held = graph_of(properties)
        if held != graph:
            raise wrong_graph(held, graph)
        found = _read(properties, "format_version", int)
        if found != FORMAT_VERSION:
            raise ModelError(
                f"the model's 'format_version' is {found!r}, this version of the package "
                f"reads {FORMAT_VERSION!r}"
            )
        size = _read(properties, "input_size", list)
        if not (isinstance(size, list) and len(size) == 2 and all(type(v) is int for v in size)):
            raise ModelError(f"the model's 'input_size' must be [width, height], got {size!r}")
        calibrated = KEY_PREFIX + "calibrations" in properties
        calibrations = _read(properties, "calibrations", dict) if calibrated else {}
        quantized = KEY_PREFIX + "quantized" in properties and _read(properties, "quantized", bool)
        # Files without the key are older than the key: all of them follow the reference's rule.
        ruled = KEY_PREFIX + "crop" in properties
        judged = KEY_PREFIX + "int8_judgement" in properties
        judgement = _read(properties, "int8_judgement", dict) if judged else None
        return cls(
            name=str(_read(properties, "name", str)),
            configuration=str(_read(properties, "configuration", str)),
            input_width=size[0],
            input_height=size[1],
            target_sigma=float(str(_read(properties, "target_sigma", (int, float)))),
            flip_shift=bool(_read(properties, "flip_shift", bool)),
            checkpoint_sha256=str(_read(properties, "checkpoint_sha256", str)),
            package_version=str(_read(properties, "package_version", str)),
            colour_order=str(_read(properties, "colour_order", str)),
            calibrations=calibrations,
            quantized=quantized,
            int8_judgement=None if judgement is None else _judgement(judgement),
            skeleton=_skeleton(properties),
            crop=_read(properties, "crop", str) if ruled else "reference",
        )


def _judgement(values: dict[str, Any]) -> Int8Judgement:
    try:
        return Int8Judgement(**values)
    except TypeError:
        raise ModelError(f"the model's 'int8_judgement' is unreadable: {values}") from None


def _skeleton(properties: Mapping[str, str]) -> SkeletonDefinition:
    """The definition in a file, or COCO's where only the joint names are there, and are COCO's."""
    name = _read(properties, "skeleton", str)
    joint_names = _read(properties, "joint_names", list)
    if KEY_PREFIX + "skeleton_definition" not in properties:
        if joint_names == list(COCO17.joint_names):
            return COCO17
        raise ModelError(
            f"the model has the skeleton '{name}' of {len(joint_names)} joints without its "
            "definition: export it again from its checkpoint, with --skeleton"
        )
    try:
        skeleton = SkeletonDefinition.from_json(_read(properties, "skeleton_definition", dict))
    except SkeletonError as error:
        raise ModelError(f"the model's 'skeleton_definition' is unreadable: {error}") from None
    if (name, joint_names) != (skeleton.name, list(skeleton.joint_names)):
        raise ModelError(
            f"the model's 'skeleton' and 'joint_names' ('{name}', {len(joint_names)} joints) "
            f"contradict its 'skeleton_definition' ('{skeleton.name}', {skeleton.joints} joints)"
        )
    return skeleton


def wrong_graph(held: str, wanted: Graph) -> ModelError:
    """The error for a file that holds another graph than the caller needs."""
    words = {"heatmaps": "a heatmaps graph", "end2end": "an end-to-end graph"}
    return ModelError(
        f"the file contains {words.get(held, f'a graph {held!r}')}, expected {words[wanted]}: "
        f"make one with 'hrnet_pose export --graph {wanted}'"
    )


def graph_of(properties: Mapping[str, str]) -> str:
    """Which of the `Graph` kinds a file's properties name; files without the key give heatmaps."""
    return _read(properties, "graph", str) if KEY_PREFIX + "graph" in properties else "heatmaps"


@dataclass(frozen=True)
class End2EndGraphMetadata:
    """Facts about an end-to-end graph: those of its model, and what the graph itself was made with.

    Attributes
    ----------
    model
        The model's facts; its name is the model's, not the file's.
    precision
        One of `GRAPH_PRECISIONS`: what the network computes with. Crops and decoding are float32.
    decoding
        ``quarter`` or ``dark``.
    flip_test
        Whether every crop is also run mirrored.
    image_size
        (width, height) of the only image the graph takes, in pixels; None: any size.
    """

    model: ModelMetadata
    precision: str
    decoding: Literal["quarter", "dark"]
    flip_test: bool
    image_size: tuple[int, int] | None

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("precision", self.precision, GRAPH_PRECISIONS),
            ("decoding", self.decoding, ("quarter", "dark")),
        ):
            if value not in choices:
                raise ModelError(
                    f"an end-to-end graph's {name} must be one of {', '.join(choices)}; "
                    f"got {value!r}"
                )
        size = self.image_size
        if size is not None and not (
            len(size) == 2 and all(type(v) is int and v > 0 for v in size)
        ):
            raise ModelError(
                f"an end-to-end graph's image size must be (width, height) in px, got {size}"
            )

    def to_properties(self) -> dict[str, str]:
        """As ONNX ``metadata_props``: those of the model and four more."""
        values = {
            "graph": "end2end",
            "precision": self.precision,
            "decoding": self.decoding,
            "flip_test": self.flip_test,
            "image_size": self.image_size,
        }
        return self.model.to_properties() | {
            KEY_PREFIX + key: json.dumps(value) for key, value in values.items()
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> End2EndGraphMetadata:
        """Read back what ``to_properties`` wrote.

        Raises
        ------
        ModelError
            As `ModelMetadata.from_properties`; also where the file contains no end-to-end graph.
        """
        model = ModelMetadata.from_properties(properties, graph="end2end")
        size = _read(properties, "image_size", (list, type(None)))
        return cls(
            model=model,
            precision=_read(properties, "precision", str),
            decoding=_read(properties, "decoding", str),
            flip_test=_read(properties, "flip_test", bool),
            image_size=None if size is None else tuple(size),
        )


def _read(properties: Mapping[str, str], key: str, expected: type | tuple[type, ...]) -> Any:
    """A property's value, parsed; ModelError where it is missing or of another type."""
    text = properties.get(KEY_PREFIX + key)
    if text is None:
        raise ModelError(
            f"the model contains no '{KEY_PREFIX}{key}': it was not exported by this package "
            "(make one with 'hrnet_pose export')"
        )
    try:
        result = json.loads(text)
    except json.JSONDecodeError:
        result = _UNREADABLE
    if not isinstance(result, expected):
        raise ModelError(f"the model's '{KEY_PREFIX}{key}' is unreadable: {text!r}")
    return result
