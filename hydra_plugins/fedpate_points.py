"""Hydra takes plugins from this namespace only; `fedpate.commands._sweeper` does the work."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class PointSweeper(BasicSweeper):
    """Every combination of comma-separated values; points that are done are not run again."""

    def sweep(self, arguments: list[str]) -> Any:
        """Launch what is missing; `fedpate.commands._sweeper.sweep`."""
        # Not at the top: other programs that use Hydra look through this module too.
        from fedpate.commands._sweeper import sweep

        return sweep(self, arguments)
