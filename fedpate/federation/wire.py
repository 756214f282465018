"""What crosses the network, and nothing else: settings and records to Flower's records and back.

Every message names the wire's schema version and holds exactly the keys listed here; whatever else
is refused, on both sides. Arrays travel as `.npy` bytes and are never unpickled. The three actions:

  action          request                                      reply
  query.hello     -                                            fedpate, flwr, hospital, policy
  train.teachers  settings, preprocessing                      n_teachers
  query.predict   settings, training, batch, ids, features     n_teachers, ids, votes

Votes are counts of the hospital's teachers, or sums of their probabilities (votes=probabilities):
float32, in whole parts of 1 / VOTE_PARTS, so that nothing is rounded on the way.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from fedpate.errors import ConfigError, DataError, FedPateError, PredictionError
from fedpate.federation.refusals import SCHEMA, Code, Refusal
from fedpate.records import VOTE_PARTS, Ints, PredictionVectors, QueryBatch

HELLO, TRAIN, PREDICT = "query.hello", "train.teachers", "query.predict"

_MOST_SOFT = 2**24 // VOTE_PARTS  # teachers of one hospital: beyond, float32 would round
_LARGEST_RANDOMIZED = 2**48  # votes; sums over thousands of hospitals stay exact in int64

AnyArray = npt.NDArray[Any]


def votes_dtype(n_teachers: int) -> npt.DTypeLike:
    """The smallest type on the wire that can count `n_teachers` votes."""
    return np.uint16 if n_teachers <= np.iinfo(np.uint16).max else np.uint32


def fewest_bits(n_teachers: int, n_classes: int) -> float:
    """What one row of votes takes at least: log2 of how many rows there are (stars and bars)."""
    return math.log2(math.comb(n_teachers + n_classes - 1, n_classes - 1))


def hello_request() -> RecordDict:
    """Who is there?"""
    return _pack({})


def hello_reply(versions: Mapping[str, str], hospital: str, policy: str) -> RecordDict:
    """A hospital introduces itself; `policy` is JSON with its limits, and holds no data facts."""
    return _pack({**versions, "hospital": hospital, "policy": policy})


def read_hello_reply(content: RecordDict) -> str:
    """The hospital's name; raises PredictionError unless the reply is well-formed."""
    fields, _ = _unpack(content, {"fedpate", "flwr", "hospital", "policy"}, set(), PredictionError)
    name = _text(fields, "hospital", PredictionError)
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise PredictionError("a hospital's name must be 1 to 100 printable characters")
    return name


def train_request(settings: str, preprocessing: Mapping[str, AnyArray]) -> RecordDict:
    """Train teachers; `settings` is `TrainSettings` as JSON."""
    return _pack({"settings": settings}, preprocessing)


def read_train_request(content: RecordDict) -> tuple[str, dict[str, AnyArray]]:
    """(settings, preprocessing), or Refusal."""
    with _refusing():
        fields, arrays = _unpack(content, {"settings"}, None, DataError)
        return _text(fields, "settings", DataError), arrays


def train_reply(n_teachers: int) -> RecordDict:
    """Done: no metric, since a loss on private data is not private."""
    return _pack({"n_teachers": n_teachers})


def read_train_reply(content: RecordDict, at_most: int) -> int:
    """The number of teachers; raises PredictionError unless it is in [1, at_most]."""
    fields, _ = _unpack(content, {"n_teachers"}, set(), PredictionError)
    return _n_teachers(fields, at_most)


def predict_request(settings: str, training: str, batch: QueryBatch) -> RecordDict:
    """Ask for votes; `training` says which teachers, by the hash of what they were trained with."""
    fields = {"settings": settings, "training": training, "batch": batch.hash()}
    return _pack(fields, {"query_ids": batch.query_ids, "features": batch.features})


def read_predict_request(content: RecordDict) -> tuple[str, str, QueryBatch]:
    """(settings, training, batch) with the batch's hash verified, or Refusal."""
    with _refusing():
        keys = {"settings", "training", "batch"}
        fields, arrays = _unpack(content, keys, {"query_ids", "features"}, DataError)
        if arrays["features"].dtype not in (np.float32, np.uint8):
            raise DataError("features must be float32 or uint8")
        batch = QueryBatch(arrays["query_ids"], arrays["features"])
        if batch.hash() != fields["batch"]:
            raise DataError("the batch must have the hash that it is sent with")
        training = _text(fields, "training", DataError)
        if len(training) != 64 or not set(training) <= set("0123456789abcdef"):
            raise DataError("training must be a SHA-256 in hexadecimal")
        return _text(fields, "settings", DataError), training, batch


def predict_reply(answer: PredictionVectors) -> RecordDict:
    """One hospital's votes: small unsigned integers, randomized ones int64, soft ones float32."""
    votes: AnyArray = answer.votes
    if answer.parts > 1:
        votes = (votes / answer.parts).astype(np.float32)  # exact up to _MOST_SOFT teachers
    elif not answer.randomized:
        votes = votes.astype(votes_dtype(answer.n_teachers))
    return _pack({"n_teachers": answer.n_teachers}, {"query_ids": answer.query_ids, "votes": votes})


def read_predict_reply(
    content: RecordDict,
    query_ids: Ints,
    n_classes: int,
    n_teachers: int,
    *,
    randomized: bool,
    soft: bool = False,
) -> PredictionVectors:
    """Check one hospital's answer to one batch: ids, type, shape, range and row sums.

    Args:
      content: what came.
      query_ids: (n_queries,) what was asked, in that order.
      n_classes: number of columns.
      n_teachers: what the hospital said when it had trained.
      randomized: whether the hospital adds its own noise (trust=local).
      soft: whether it sends sums of probabilities (votes=probabilities).

    Raises:
      PredictionError: whatever differs; the hospital is then left out of the round.
    """
    fields, arrays = _unpack(content, {"n_teachers"}, {"query_ids", "votes"}, PredictionError)
    ids, votes = arrays["query_ids"], arrays["votes"]
    if _n_teachers(fields, n_teachers) != n_teachers:
        raise PredictionError(f"n_teachers must be {n_teachers} as after training")
    if ids.dtype != np.int64 or not np.array_equal(ids, query_ids):
        raise PredictionError("query_ids must be those asked, in the same order")
    counted = np.float32 if soft else votes_dtype(n_teachers)
    expected = np.dtype(np.int64 if randomized else counted)
    if votes.dtype != expected or votes.shape != (len(query_ids), n_classes):
        raise PredictionError(
            f"votes must be {expected} of shape {(len(query_ids), n_classes)}, "
            f"got {votes.dtype} {votes.shape}"
        )
    if randomized and (np.abs(votes) >= _LARGEST_RANDOMIZED).any():
        raise PredictionError(f"randomized votes must be below {_LARGEST_RANDOMIZED}")
    if soft:
        return PredictionVectors(ids, _in_parts(votes, n_teachers), n_teachers, parts=VOTE_PARTS)
    return PredictionVectors(ids, votes.astype(np.int64), n_teachers, randomized)


def _in_parts(votes: AnyArray, n_teachers: int) -> Ints:
    """Soft votes as the whole parts that a hospital made of them.

    Raises:
      PredictionError: NaN, out of range, or not made of parts.
    """
    if not ((votes >= 0) & (votes <= n_teachers)).all():  # NaN compares false
        raise PredictionError(f"soft votes must be in [0, n_teachers={n_teachers}]")
    parts = votes.astype(np.float64) * VOTE_PARTS
    if not (parts == np.rint(parts)).all():
        raise PredictionError(f"soft votes must be in whole parts of 1 / {VOTE_PARTS}")
    return parts.astype(np.int64)


def check_request(content: RecordDict) -> None:
    """Refuse a request of another wire schema before anything else is looked at."""
    record = content.get("fields")
    if not isinstance(record, ConfigRecord) or record.get("schema") != SCHEMA:
        raise Refusal(Code.SCHEMA)


def fields(content: RecordDict) -> dict[str, object]:
    """What a message says beside its arrays; nothing of it is checked."""
    record = content.get("fields") if content else None
    return dict(record) if isinstance(record, ConfigRecord) else {}


def size(content: RecordDict) -> int:
    """Payload bytes of a message: array bytes, texts, 8 for a number; keys are not counted."""
    total = 0
    for record in content.values():
        for value in record.values():
            if isinstance(value, Array):
                total += len(value.data)
            else:
                total += len(value) if isinstance(value, str | bytes) else 8
    return total


class _refusing:  # noqa: N801 - reads as a statement
    """Whatever is wrong with a request becomes a refusal: the text stays in the hospital."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ConfigError | DataError | PredictionError):
            raise Refusal(Code.MALFORMED) from error


def _pack(fields: Mapping[str, Any], arrays: Mapping[str, AnyArray] | None = None) -> RecordDict:
    content = RecordDict({"fields": ConfigRecord({"schema": SCHEMA, **fields})})
    if arrays is not None:
        record = {name: Array(np.asarray(array, order="C")) for name, array in arrays.items()}
        content["arrays"] = ArrayRecord(record)
    return content


def _unpack(
    content: RecordDict, keys: set[str], names: set[str] | None, error: type[FedPateError]
) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """The fields and arrays of a message that holds exactly these (`None`: any arrays)."""
    expected = {"fields"} if names == set() else {"fields", "arrays"}
    if set(content) != expected or not isinstance(content["fields"], ConfigRecord):
        raise error(f"a message must hold the records {sorted(expected)}")
    fields = dict(content["fields"])
    if fields.pop("schema", None) != SCHEMA:
        raise error(f"a message must be of wire schema {SCHEMA}")
    if set(fields) != keys:
        raise error(f"a message must hold the fields {sorted(keys)}")
    record = content.get("arrays", ArrayRecord())
    if not isinstance(record, ArrayRecord) or (names is not None and set(record) != names):
        raise error(f"a message must hold the arrays {sorted(names or ())}")
    return fields, {name: _array(array, error) for name, array in record.items()}


def _array(array: Array, error: type[FedPateError]) -> AnyArray:
    """The numbers in `.npy` bytes that a peer wrote: no pickle, no archive, no memory on credit."""
    file = io.BytesIO(array.data)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError("numpy writes version 1.0 for plain arrays")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.kind not in "iuf" or len(array.data) - file.tell() != (
            math.prod(shape) * dtype.itemsize
        ):
            raise ValueError("numbers, as many as the shape says")
        flat = np.frombuffer(array.data, dtype, offset=file.tell())
        return flat.reshape(shape, order="F" if fortran else "C")
    except Exception as cause:  # the header's parser raises whatever Python's own parser does
        raise error("an array must be numbers in numpy's npy format") from cause


def _text(fields: Mapping[str, Any], name: str, error: type[FedPateError]) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise error(f"{name} must be text, got {type(value).__name__}")
    return value


def _n_teachers(fields: Mapping[str, Any], at_most: int) -> int:
    value = fields["n_teachers"]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= at_most:
        raise PredictionError(f"n_teachers must be in [1, {at_most}]")
    return value
