"""What libraries read when they are imported: nothing is reported to anybody."""

import os

# Nothing is installed at run time either. A variable that the user has set keeps its value.
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: names and hashes of models
}


def keep_private() -> None:
    """Set what is not set; call it before any of them is imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
