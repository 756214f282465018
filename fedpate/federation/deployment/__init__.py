"""The long-running sides of a real federation: the coordinator's doors, a hospital's node."""
