#!/bin/sh
# The coordinator of {{ federation }}: one command, until SIGTERM or Ctrl-C.
cd "$(dirname "$0")" && exec fedpate coordinator start . "$@"
