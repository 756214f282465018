"""One module per verb of the command line, imported only when the verb is asked for.

Each has `HELP`, what `fedpate VERB --help` prints, and `main(args) -> exit code`. Heavy imports
(torch, Flower, Hydra, matplotlib) stand inside functions, so that help answers at once.
"""

VERBS = {
    "simulate": "a simulated federation of hospitals on this machine, end to end",
    "plan": "before any training: which mechanism, noise and number of labels are worth having",
    "account": "what releasing labels from a file of votes costs in privacy",
    "ledger": "what was spent and on what; whether the record was tampered with",
    "store": "the trained teachers that are kept: list them, remove them",
    "audit": "measure a lower bound on epsilon and hold it against the claim",
    "sensitivity": "remove each record or teacher in turn and see what an answer owes to it",
    "tune": "search the settings for the best student at every price",
    "compare": "one table and the privacy/utility pictures of a sweep",
    "predict": "ask the student of a finished run about new records",
    "report": "write report.html for finished runs",
    "bundle": "a Flower app to start by hand with `flwr run`",
    "provision": "start-up kits for a real federation: certificates, keys, policies",
    "coordinator": "run a real federation's coordinator from its kit",
    "hospital": "run a hospital of a real federation from its kit",
    "deploy": "one run on a running federation of real hospitals",
    "poc": "a real federation on this machine, to try out: start, status, stop",
    "doctor": "whether everything that a run needs is here and in order",
    "completion": "make the Tab key of bash, zsh or fish complete verbs and settings",
}
