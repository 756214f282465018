"""Hydra takes plugins from this namespace only; `fedpate.commands` does the work."""

from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

# Imports of fedpate are not at the top: other programs that use Hydra look through this module too.


class PointSweeper(BasicSweeper):
    """Every combination of comma-separated values; points that are done are not run again."""

    def sweep(self, arguments: list[str]) -> Any:
        """Launch what is missing; `fedpate.commands._sweeper.sweep`."""
        from fedpate.commands._sweeper import sweep

        return sweep(self, arguments)


class PointLauncher(BasicLauncher):
    """Several points at once, in processes of this machine."""

    def __init__(self, jobs: Any = None) -> None:
        super().__init__()
        self.jobs = jobs

    def check(self) -> None:
        """Before anything is written; raises ConfigError as `fedpate.commands._launcher.check`."""
        from fedpate.commands._launcher import check

        check(self.jobs)

    def launch_points(self, points: Any, missing: Any) -> Any:
        """For our own sweeper; `fedpate.commands._launcher.launch`. Another one gets `launch`."""
        from fedpate.commands._launcher import launch

        return launch(self, points, missing)
