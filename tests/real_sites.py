"""Real hospitals without processes: kits on disk, and the installed app called in this process."""

import secrets

import yaml
from flwr.app import Context, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo

from deployments import provision
from federated import small_run
from fedpate.data.federated import federate
from fedpate.data.layout import lay_out
from fedpate.federation import client_app, coordinator, site
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.federation.engines.local_grid import number
from fedpate.federation.job import Deployment
from fedpate.federation.kit import STATE, HospitalKit
from fedpate.federation.own_site import CONFIG, SITE, log_of
from fedpate.federation.progress import LogProgress

OPEN = {  # no limit but those that a test sets
    "queries": {"per_day": None, "total": None, "near_duplicates": None},
    "epsilon": {"patient": None, "hospital": None, "query": None},
    "teachers": {"patients_per_teacher": 1},
}


class RealSites:
    """The hospitals of a small simulation as real ones: their own kits, files, rules and state."""

    def __init__(self, folder, **changes):
        self.folder = folder
        self.run = small_run(folder / "store", **changes)
        truth = federate(
            self.run.data,
            self.run.partition,
            self.run.hospitals,
            self.run.teachers_per_hospital,
            self.run.seed,
        )
        self.files = lay_out(truth, folder / "records")
        self.names = list(self.files)
        provision(folder / "kits", *self.names)
        for name, path in self.files.items():
            self.site(name, path=str(path))
            self.policy(name, **OPEN)

    def kit(self, name):
        return HospitalKit.read(self.folder / "kits" / name)

    def state(self, name):
        return self.kit(name).folder / STATE

    def site(self, name, **data):
        """Write the site file of a start."""
        self.state(name).mkdir(exist_ok=True)
        content = {"hospital": name, "data": data, "device": "cpu"}
        (self.state(name) / SITE).write_text(yaml.safe_dump(content))

    def policy(self, name, **changes):
        """Change rules: a section's keys, or a rule of its own."""
        path = self.kit(name).policy
        rules = yaml.safe_load(path.read_text())
        for rule, value in changes.items():
            rules[rule] = rules[rule] | value if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(rules))

    def log(self, name):
        return log_of(self.kit(name))

    def context(self, name, run_id=1):
        config = {CONFIG: str(self.state(name) / SITE)}
        return Context(run_id, 7, config, RecordDict(), {})

    def send(self, name, action, content):
        """The reply of one hospital to one message."""
        with acting_as_coordinator(1):
            message = Message(content, 7, action)
            number(message)
            return client_app.app(message, self.context(name))

    def deployment(self, submitter="alice"):
        ledger = self.folder / "kits" / "federation.sqlite"
        return Deployment("try-out", tuple(self.names), str(ledger), submitter)

    def side(self, run=None, submitter="alice"):
        return site.coordinator_side(run or self.run, self.folder, self.deployment(submitter))

    def deploy(self, out, run=None, grid=None, submitter="alice"):
        """One run of the coordinator over these hospitals; its summary."""
        run, grid = run or self.run, grid or SitesGrid(self)
        side = self.side(run, submitter)
        with acting_as_coordinator(grid.run.run_id):
            return coordinator.run(run, side, grid, self.folder / out, LogProgress())


class SitesGrid(InProcessGrid):
    """A grid of real hospitals that the SuperLink knows by name; `here` are those connected."""

    def __init__(self, sites, here=None, app=client_app.app):
        names = sites.names if here is None else here
        super().__init__(app, len(names))
        self.sent = []  # (hospital, action)
        self.names = dict(zip(self.contexts, names, strict=True))
        self.contexts = {
            node: sites.context(name, secrets.randbits(60)) for node, name in self.names.items()
        }

    def get_nodes(self):
        return [NodeInfo(node_id=node, name=name) for node, name in self.names.items()]

    def push_messages(self, messages):
        messages = list(messages)
        self.sent += [
            (self.names[message.metadata.dst_node_id], message.metadata.message_type)
            for message in messages
        ]
        return super().push_messages(messages)
