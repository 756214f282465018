"""The hospital's Flower app: three thin handlers. Importing it touches no data.

Flower would send an exception's text to the coordinator: every handler is `discreet`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

import fedpate
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError, DataError
from fedpate.federation import site, wire
from fedpate.federation.hospital_log import ANSWERED
from fedpate.federation.refusals import REASONS, Code, Refusal
from fedpate.federation.settings import TrainSettings

app = ClientApp()

VERSIONS = {"fedpate": fedpate.__version__, "flwr": version("flwr")}

Answer = Callable[[RecordDict, Context], RecordDict]
Handler = Callable[[Message, Context], Message]


def discreet(answer: Answer) -> Handler:
    """Keep exceptions inside the hospital: its log gets the text, the coordinator a code."""

    @wraps(answer)
    def handler(message: Message, context: Context) -> Message:
        action = message.metadata.message_type
        try:
            with _audited(message, context):
                wire.check_request(message.content)
                return Message(answer(message.content, context), reply_to=message)
        except Refusal as refusal:
            code = refusal.code
            site.hospital_log(context).warning("%s refused: %s", action, refusal)
        except Exception:  # noqa: BLE001 - whatever it is, its text must not leave
            code = Code.FAILED
            site.hospital_log(context).exception("%s failed", action)
        return Message(Error(int(code), REASONS[code]), reply_to=message)

    return handler


@contextmanager
def _audited(message: Message, context: Context) -> Iterator[None]:
    """The request goes to the hospital's log before anything else, the decision before the reply.

    If the log cannot be written nothing is answered.
    """
    log = site.audit_log(context)
    if log is None:
        yield
        return
    what = message.metadata.message_type, message.metadata.run_id
    log.request(*what, wire.fields(message.content))
    rules = site.policy_hash(context)
    try:
        yield
    except Exception as error:
        log.decision(*what, error.code if isinstance(error, Refusal) else Code.FAILED, rules)
        raise
    log.decision(*what, ANSWERED, rules)


@app.query("hello")
@discreet
def hello(_: RecordDict, context: Context) -> RecordDict:
    """Say who is here and under which limits; nothing about data."""
    name, limits = site.introduction(context)
    return wire.hello_reply(VERSIONS, name, json.dumps(limits))


@app.train("teachers")
@discreet
def train(content: RecordDict, context: Context) -> RecordDict:
    """Train the teachers, and say only how many there are."""
    text, arrays = wire.read_train_request(content)
    settings = _settings(text)
    try:
        preprocessing = Preprocessing.from_arrays(arrays)
    except DataError as error:
        raise Refusal(Code.MALFORMED) from error
    return wire.train_reply(site.open_hospital(context, settings).train(settings, preprocessing))


@app.query("predict")
@discreet
def predict(content: RecordDict, context: Context) -> RecordDict:
    """Answer one query batch with prediction vectors, and with nothing else."""
    text, training, batch = wire.read_predict_request(content)
    settings = _settings(text)
    return wire.predict_reply(
        site.open_hospital(context, settings).answer(batch, settings, training)
    )


def _settings(text: str) -> TrainSettings:
    try:
        return TrainSettings.from_json(text)
    except ConfigError as error:
        raise Refusal(Code.SETTINGS) from error
