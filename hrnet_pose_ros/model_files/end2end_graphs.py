# SPDX-License-Identifier: Apache-2.0
"""End-to-end graphs beside a model's files: their names, and which one fits the options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

from hrnet_pose_ros.model_files.find import metadata_beside
from hrnet_pose_ros.model_files.folders import (
    END2END,
    available,
    is_path,
    models_folders,
    user_models_folder,
)
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelError
from hrnet_pose_ros.model_files.model_file import (
    CHECKPOINT,
    ONNX,
    ModelFile,
    OpenModelFile,
    is_checkpoint_path,
    is_onnx_path,
    model_name,
)

# The order in which "auto" takes the precisions of end-to-end graphs; int8 only when asked for.
AUTO_PRECISIONS = ("float16", "float32")


def end2end_file_name(
    name: str,
    precision: str = "float16",
    decoding: str = "quarter",
    flip_test: bool = False,
    image_size: tuple[int, int] | None = None,
) -> str:
    """The usual name of an end-to-end graph's file; ``image_size`` is (width, height)."""
    parts = [name + END2END, precision]
    parts += ["dark"] if decoding == "dark" else []
    parts += ["flip"] if flip_test else []
    parts += [f"{image_size[1]}x{image_size[0]}"] if image_size else []
    return "_".join(parts) + ONNX


def find_end2end_graph(
    model: str | Path, precision: str, decoding: str, flip_test: bool
) -> ModelFile:
    """Find the end-to-end graph of a model that was made with these options.

    Graphs lie beside the model's ``.onnx`` or ``.pth`` file as ``NAME_end2end*.onnx``; which of
    them fits is decided by what they say themselves. One made from another checkpoint than the
    ``NAME.onnx`` beside it is passed over: it would be another model under the same name.

    Parameters
    ----------
    model
        As for `find_model`: a name or a path; or the path of an end-to-end graph itself.
    precision
        ``"auto"`` (float16, else float32) or one of `metadata.GRAPH_PRECISIONS`.
    decoding, flip_test
        As the graph must have been made.

    Raises
    ------
    ModelError
        None fits; the message lists what was found and how to make the one that is missing.
    """
    text = str(model)
    wanted = AUTO_PRECISIONS if precision == "auto" else (precision,)
    if is_path(model):
        path = Path(text).expanduser()
        known = is_onnx_path(path) or is_checkpoint_path(path)
        if not known or not path.is_file():
            raise ModelError(f"no model at '{path.absolute()}' ({ONNX} or {CHECKPOINT})")
        name, folders, elsewhere = model_name(path), [path.parent], []
        if is_onnx_path(path):
            with OpenModelFile(path) as opened:
                if opened.header.kind == "end2end":
                    return _fitting_itself(opened, wanted, decoding, flip_test)
    else:
        name, folders, elsewhere = text, models_folders(), [user_models_folder()]
    if not name:
        raise ModelError(f"no model is named; there are {available(ONNX)}")

    fitting: list[tuple[int, bool, OpenModelFile]] = []
    found = []
    beside = lru_cache(metadata_beside)
    with ExitStack() as stack:
        for path in _candidates(name, folders):
            try:
                opened = stack.enter_context(OpenModelFile(path))
                metadata = opened.header.end2end()
            except ModelError as error:
                found.append(str(error))
                continue
            reason = None
            if metadata.model.name != name:
                reason = f"of the model '{metadata.model.name}'"
            elif (original := beside(path.parent / (name + ONNX))) is not None and (
                original.checkpoint_sha256 != metadata.model.checkpoint_sha256
            ):
                reason = f"made from another checkpoint than '{name + ONNX}': export it again"
            if reason is None and _fits(metadata, wanted, decoding, flip_test):
                # Graphs for any image before those for one size; then the first folder.
                place = wanted.index(metadata.precision)
                fitting.append((place, metadata.image_size is not None, opened))
            found.append(f"'{path}' ({reason or _described(metadata)})")
        if fitting:
            return min(fitting, key=lambda candidate: candidate[:2])[2].complete()
    listed = "; there are " + ", ".join(found) if found else "; none was found for this model"
    if not found and not is_path(model):
        listed += f" (models found by name: {available(ONNX)})"
    raise ModelError(
        f"no end-to-end graph of '{name}' with {_options_text(wanted[0], decoding, flip_test)} in "
        f"{', '.join(map(repr, map(str, folders))) or 'no models folder (none exists)'}{listed}; "
        + _way_to_end2end_graph(name, [*folders, *elsewhere], wanted[0], decoding, flip_test)
    )


def _fitting_itself(
    opened: OpenModelFile, wanted: tuple[str, ...], decoding: str, flip_test: bool
) -> ModelFile:
    """The end-to-end graph that the user named, or ModelError where it was made otherwise."""
    metadata, path = opened.header.end2end(), opened.header.path
    if _fits(metadata, wanted, decoding, flip_test):
        return opened.complete()
    raise ModelError(
        f"'{path}' is {_described(metadata)}; expected "
        f"{_options_text(wanted[0], decoding, flip_test)}: change the parameters, or "
        + _way_to_end2end_graph(metadata.model.name, [path.parent], wanted[0], decoding, flip_test)
    )


def _candidates(name: str, folders: list[Path]) -> Iterator[Path]:
    """Files called like a graph of the model, folder by folder."""
    for folder in folders:
        for path in sorted(folder.glob(f"*{ONNX}")):  # a name may hold characters of a pattern
            if path.name.startswith(name + END2END):
                yield path


def _fits(
    metadata: End2EndGraphMetadata, precisions: tuple[str, ...], decoding: str, flip_test: bool
) -> bool:
    return (
        metadata.precision in precisions
        and metadata.decoding == decoding
        and metadata.flip_test == flip_test
    )


def _described(metadata: End2EndGraphMetadata) -> str:
    text = _options_text(metadata.precision, metadata.decoding, metadata.flip_test)
    if metadata.image_size is not None:
        width, height = metadata.image_size
        text += f", images of {height}x{width} (HxW)"
    return text


def _options_text(precision: str, decoding: str, flip_test: bool) -> str:
    return f"{precision}, {decoding}, {'with' if flip_test else 'no'} flip test"


def _way_to_end2end_graph(
    name: str, folders: list[Path], precision: str, decoding: str, flip_test: bool
) -> str:
    """The command that makes the graph, with the paths of this machine where they are known."""
    graph_options = (" --decoding dark" if decoding == "dark" else "") + (
        " --flip-test" if flip_test else ""
    )
    models = [
        f for f in folders if any((f / (name + kind)).is_file() for kind in (ONNX, CHECKPOINT))
    ]
    folder = (models or folders or [Path()])[0]
    exported = "float32" if precision == "int8" else precision
    target = folder / end2end_file_name(name, exported, decoding, flip_test)
    checkpoints = [f / (name + CHECKPOINT) for f in folders if (f / (name + CHECKPOINT)).is_file()]
    checkpoint = str(checkpoints[0]) if checkpoints else f"CHECKPOINT{CHECKPOINT}"
    command = (
        f"hrnet_pose export --graph end2end {checkpoint} -o {target} "
        f"--precision {exported}{graph_options}"
    )
    if precision == "int8":
        quantized = folder / end2end_file_name(name, "int8", decoding, flip_test)
        command += f" && hrnet_pose quantize {target} -o {quantized} --data DATA"
    return f"make it with: {command}"
