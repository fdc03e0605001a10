# SPDX-License-Identifier: Apache-2.0
"""Find model files: by path, or by name in the models folders of this installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hrnet_pose_ros.installed import installed_folders
from hrnet_pose_ros.model_files.metadata import (
    End2EndGraphMetadata,
    ModelError,
    ModelMetadata,
    graph_of,
)
from hrnet_pose_ros.model_files.onnx_properties import read_properties

ONNX = ".onnx"
CHECKPOINT = ".pth"
END2END = "_end2end"  # an end-to-end graph of NAME is called NAME_end2end*.onnx

# The order in which "auto" takes the precisions of end-to-end graphs; int8 only when asked for.
AUTO_PRECISIONS = ("float16", "float32")


def find_model(model: str | Path, suffix: str) -> Path:
    """Find a model's file.

    Parameters
    ----------
    model
        A path (it holds a separator or ends in ``.onnx`` or ``.pth``), or a bare name, which is
        looked for in `models_folders`.
    suffix
        Kind of file wanted: `ONNX` or `CHECKPOINT`.

    Raises
    ------
    ModelError
        No such file, or a file of another kind; the message says what was searched and what is
        there.
    """
    text = str(model)
    if not text:
        raise ModelError(f"no model is named; there are {_available(suffix)}")
    if os.sep in text or text.endswith((ONNX, CHECKPOINT)):
        path = Path(text).expanduser()
        if not path.is_file():
            raise ModelError(
                f"no model at '{path.absolute()}'; by name there are {_available(suffix)}"
            )
        if path.suffix != suffix:
            way_out = "; make one with 'hrnet_pose export'" if suffix == ONNX else ""
            raise ModelError(f"'{path}' is no {suffix} file, which this engine needs{way_out}")
        return path
    try:
        return find_bundled_file(text + suffix)
    except ModelError as error:
        from hrnet_pose_ros.model_files.zoo import way_to

        way_out = way_to(text, suffix) or f"by name there are {_available(suffix)}"
        raise ModelError(f"{error}; {way_out}") from None


def find_bundled_file(name: str) -> Path:
    """The first file of that name in the models folders; ModelError names the folders."""
    folders = models_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(f"'{folder}'" for folder in folders) or "no models folder (none exists)"
    raise ModelError(f"no '{name}' in {searched}")


def models_folders() -> list[Path]:
    """The models folders that exist, the first one to search first: installed, then the user's."""
    own = user_models_folder()
    return installed_folders("models", "models") + ([own] if own.is_dir() else [])


def user_models_folder() -> Path:
    """Where `hrnet_pose fetch` and `hrnet_pose export` put models by name; it may not exist yet.

    ``$XDG_DATA_HOME/hrnet_pose/models``, by default under ``~/.local/share``.
    """
    data = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(data) / "hrnet_pose" / "models"


def _available(suffix: str) -> str:
    names = {
        path.stem
        for folder in models_folders()
        for path in folder.glob(f"*{suffix}")
        if END2END not in path.stem  # their name is the model's
    }
    return ", ".join(sorted(names)) or "none"


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


def metadata_beside(path: Path) -> ModelMetadata | None:
    """What ``NAME.onnx`` beside a file ``NAME.…`` says of its model; None where it is not there,
    damaged, or not exported by this package.
    """
    try:
        return ModelMetadata.from_properties(read_properties(path.with_suffix(ONNX)))
    except ModelError:
        return None


def read_end2end_metadata(path: str | Path) -> End2EndGraphMetadata:
    """What an end-to-end graph's file says about itself; needs no runtime.

    Raises
    ------
    ModelError
        The file is missing, damaged, not exported by this package, or holds no end-to-end graph.
    """
    try:
        return End2EndGraphMetadata.from_properties(read_properties(Path(path)))
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error


def find_end2end_graph(model: str | Path, precision: str, decoding: str, flip_test: bool) -> Path:
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
    if os.sep in text or text.endswith((ONNX, CHECKPOINT)):
        path = Path(text).expanduser()
        if path.suffix not in (ONNX, CHECKPOINT) or not path.is_file():
            raise ModelError(f"no model at '{path.absolute()}' ({ONNX} or {CHECKPOINT})")
        name, folders, elsewhere = path.stem, [path.parent], []
        if path.suffix == ONNX and _is_end2end_graph(path):
            metadata = read_end2end_metadata(path)
            if _fits(metadata, wanted, decoding, flip_test):
                return path
            raise ModelError(
                f"'{path}' is {_described(metadata)}; wanted is "
                f"{_options_text(wanted[0], decoding, flip_test)}: change the parameters, or "
                + _way_to_end2end_graph(
                    metadata.model.name, folders, wanted[0], decoding, flip_test
                )
            )
    else:
        name, folders, elsewhere = text, models_folders(), [user_models_folder()]
    if not name:
        raise ModelError(f"no model is named; there are {_available(ONNX)}")

    fitting: list[tuple[int, bool, Path]] = []
    found = []
    for path in _pose_files(name, folders):
        try:
            metadata = read_end2end_metadata(path)
        except ModelError as error:
            found.append(str(error))
            continue
        reason = _not_the_model(metadata, name, path.parent)
        if reason is None and _fits(metadata, wanted, decoding, flip_test):
            # Graphs for any image before those for one size; then the first folder.
            place = wanted.index(metadata.precision)
            fitting.append((place, metadata.image_size is not None, path))
        found.append(f"'{path}' ({reason or _described(metadata)})")
    if fitting:
        return min(fitting, key=lambda candidate: candidate[:2])[2]
    listed = "; there are " + ", ".join(found) if found else "; there is none for this model"
    raise ModelError(
        f"no end-to-end graph of '{name}' with {_options_text(wanted[0], decoding, flip_test)} in "
        f"{', '.join(map(repr, map(str, folders))) or 'no models folder (none exists)'}{listed}; "
        + _way_to_end2end_graph(name, [*folders, *elsewhere], wanted[0], decoding, flip_test)
    )


def _pose_files(name: str, folders: list[Path]) -> Iterator[Path]:
    """Files called like a graph of the model, folder by folder."""
    for folder in folders:
        for path in sorted(folder.glob(f"*{ONNX}")):  # a name may hold characters of a pattern
            if path.name.startswith(name + END2END):
                yield path


def _not_the_model(metadata: End2EndGraphMetadata, name: str, folder: Path) -> str | None:
    """Why a graph is not one of the model of that name, or None where it is."""
    if metadata.model.name != name:
        return f"of the model '{metadata.model.name}'"
    model = metadata_beside(folder / (name + ONNX))
    if model is not None and model.checkpoint_sha256 != metadata.model.checkpoint_sha256:
        return f"made from another checkpoint than '{name + ONNX}': export it again"
    return None


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


def _is_end2end_graph(path: Path) -> bool:
    return graph_of(read_properties(path)) == "end2end"
