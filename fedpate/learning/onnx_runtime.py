"""onnxruntime, imported with its reports switched off.

Since 1.29 it tells its maker about every session, names and hashes of models included, unless it is
told not to before it is imported. A model may be a hospital's own.
"""

from fedpate._environment import keep_private

keep_private()
import onnxruntime  # noqa: E402 - it reads the environment when it is imported

onnxruntime.disable_telemetry_events()  # where somebody has imported it before

__all__ = ["onnxruntime"]
