"""The privacy core: mechanisms, prices, proofs, ledger. Imports neither torch nor flwr."""
