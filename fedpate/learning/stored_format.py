"""What a stored teacher's file holds: safetensors for networks, a pickle for scikit-learn.

Both are complete: the preprocessing is inside, so that a hospital answers without loading a record.
"""

import io
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.fitted import ConstantTeacher, FittedTeacher, TorchTeacher
from fedpate.learning.nets import Net

log = logging.getLogger(__name__)

NET, PICKLE = ".safetensors", ".joblib"
KINDS = {NET: "net", PICKLE: "pickle"}
PREPROCESSING = "preprocessing."


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
    if not _only_this_user_writes(path):
        log.warning("a stored teacher was not read: others may write to the store's folder")
        return None
    import joblib

    teacher: FittedTeacher = joblib.load(io.BytesIO(content))
    return teacher


def _decode_net(content: bytes) -> FittedTeacher:
    tensors = load(content)
    size = int.from_bytes(content[:8], "little")  # a safetensors file begins with its header
    header: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    if "constant" in header:
        return ConstantTeacher(*json.loads(header["constant"]))
    arrays: dict[str, Any] = {
        name.removeprefix(PREPROCESSING): tensors.pop(name).numpy()
        for name in list(tensors)
        if name.startswith(PREPROCESSING)
    }
    net = Net.from_dict(json.loads(header["net"]))
    return TorchTeacher(net, tensors, Preprocessing.from_arrays(arrays))


def _only_this_user_writes(path: Path) -> bool:
    """Whether file, its folder and the store belong to this user, and to no other's pen."""
    if not hasattr(os, "getuid"):  # Windows: a user's folder is the user's
        return True
    for place in (path, path.parent, path.parent.parent):
        status = place.stat()
        if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
    return True
