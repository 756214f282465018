"""What the outside may reach of Flower, for the built-in proxy and for nginx alike.

One port of Flower's SuperLink carries three APIs. Control submits code and Runtime hands out the
coordinator's own messages: neither may be reachable. Of Fleet, all that an admitted hospital's
SuperNode calls is listed here; registering a key is not among them.
"""

PREFIX = "/v1/fleet/"
ENDPOINTS = frozenset(
    {
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "get-run",
        "get-fab",
        "push-object",
        "pull-object",
        "confirm-message-received",
    }
)
PATHS = frozenset(PREFIX + endpoint for endpoint in ENDPOINTS)

BODY_LIMIT = 32 << 20  # bytes; Flower cuts its objects into chunks of 5 MiB
BODY_TIMEOUT_S = 60.0  # to send a request's body
ANSWER_TIMEOUT_S = 60.0  # of the SuperLink
