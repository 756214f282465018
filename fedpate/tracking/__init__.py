"""Trackers: where a finished run is told to, beside its run directory."""
