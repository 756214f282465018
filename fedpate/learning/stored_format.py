"""What a stored teacher's file holds: safetensors for all but scikit-learn, whose is a pickle.

Every file is complete: the preprocessing is inside, so that a hospital answers without loading a
record. The suffix says what is in it. Networks are tensors; models of other libraries are the bytes
of their own formats, which hold no code (`Storable`).
"""

import importlib
import io
import json
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load, save

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.fitted import ConstantTeacher, FittedTeacher, TorchTeacher
from fedpate.learning.nets import Net

log = logging.getLogger(__name__)

NET, PICKLE = ".safetensors", ".joblib"
STORABLE = {  # suffix -> module and class, imported when such a file is read
    ".adapted": ("fedpate.learning.adapted", "AdaptedTeacher"),
    ".command": ("fedpate.learning.command_teachers", "CommandTeacher"),
    ".module": ("fedpate.learning.module_teachers", "ModuleTeacher"),
    ".onnx": ("fedpate.learning.onnx_teachers", "OnnxTeacher"),
}
KINDS = {NET: "net", PICKLE: "pickle", **{suffix: suffix[1:] for suffix in STORABLE}}
PREPROCESSING = "preprocessing."

Arrays = dict[str, npt.NDArray[Any]]


@runtime_checkable
class Storable(FittedTeacher, Protocol):
    """A teacher that says itself what its file holds."""

    suffix: ClassVar[str]  # a key of STORABLE

    def to_file(self) -> tuple[Any, Arrays]:
        """Header (plain data for JSON) and arrays."""

    @classmethod
    def from_file(cls, header: Any, arrays: Arrays) -> Self:
        """Read what `to_file` gave."""


def with_preprocessing(preprocessing: Preprocessing, arrays: Mapping[str, Any]) -> Arrays:
    """Arrays of a teacher and of its preprocessing, in one file."""
    own = preprocessing.to_arrays().items()
    return {**arrays, **{PREPROCESSING + name: values for name, values in own}}


def split_preprocessing(arrays: Arrays) -> tuple[Preprocessing, Arrays]:
    """What `with_preprocessing` put together."""
    own = {
        name.removeprefix(PREPROCESSING): values
        for name, values in arrays.items()
        if name.startswith(PREPROCESSING)
    }
    others = {name: values for name, values in arrays.items() if not name.startswith(PREPROCESSING)}
    return Preprocessing.from_arrays(own), others


def as_bytes(content: bytes) -> npt.NDArray[np.uint8]:
    """Bytes as an array that a file can hold."""
    return np.frombuffer(content, np.uint8)


def encode(teacher: FittedTeacher) -> tuple[str, bytes]:
    """(suffix, content) of the file."""
    match teacher:
        case ConstantTeacher(label, n_classes):
            header = {"constant": json.dumps([label, n_classes])}
            return NET, save({"none": torch.zeros(0)}, header)
        case TorchTeacher(net, params, preprocessing):
            tensors = dict(params)
            for name, values in preprocessing.to_arrays().items():
                tensors[PREPROCESSING + name] = torch.tensor(values)
            return NET, save(tensors, {"net": json.dumps(net.to_dict())})
        case Storable():
            header, arrays = teacher.to_file()
            packed = {name: np.asarray(values, order="C") for name, values in arrays.items()}
            return teacher.suffix, save_arrays(packed, {"header": json.dumps(header)})
        case _:
            # Comes with scikit-learn; a hospital with networks only never loads either.
            import joblib  # type: ignore[import-untyped]

            buffer = io.BytesIO()
            joblib.dump(teacher, buffer)
            return PICKLE, buffer.getvalue()


def decode(path: Path, content: bytes) -> FittedTeacher | None:
    """What `encode` wrote; None where a pickle may not be trusted.

    Args:
      path: of the file, for its suffix and its permissions.
      content: whose checksum has been verified.
    """
    if path.suffix == NET:
        return _decode_net(content)
    if path.suffix in STORABLE:
        module, name = STORABLE[path.suffix]
        cls: type[Storable] = getattr(importlib.import_module(module), name)
        header = json.loads(_metadata(content)["header"])
        return cls.from_file(header, load_arrays(content))
    if not _only_this_user_writes(path):
        log.warning("a stored teacher was not read: others may write to the store's folder")
        return None
    import joblib

    teacher: FittedTeacher = joblib.load(io.BytesIO(content))
    return teacher


def _decode_net(content: bytes) -> FittedTeacher:
    tensors, header = load(content), _metadata(content)
    if "constant" in header:
        return ConstantTeacher(*json.loads(header["constant"]))
    arrays: dict[str, Any] = {
        name.removeprefix(PREPROCESSING): tensors.pop(name).numpy()
        for name in list(tensors)
        if name.startswith(PREPROCESSING)
    }
    net = Net.from_dict(json.loads(header["net"]))
    return TorchTeacher(net, tensors, Preprocessing.from_arrays(arrays))


def _metadata(content: bytes) -> dict[str, str]:
    size = int.from_bytes(content[:8], "little")  # a safetensors file begins with its header
    metadata: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return metadata


def _only_this_user_writes(path: Path) -> bool:
    """Whether file, its folder and the store belong to this user, and to no other's pen."""
    if not hasattr(os, "getuid"):  # Windows: a user's folder is the user's
        return True
    for place in (path, path.parent, path.parent.parent):
        status = place.stat()
        if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
    return True
