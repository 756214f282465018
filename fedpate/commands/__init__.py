"""One module per verb of the command line, imported only when the verb is asked for.

Each has `HELP`, what `fedpate VERB --help` prints, and `main(args) -> exit code`. Heavy imports
(torch, Flower, Hydra, matplotlib) stand inside functions, so that help answers at once.
"""
