#!/bin/sh
# {{ hospital }} in {{ federation }}: ./start.sh --data PATH, until SIGTERM or Ctrl-C.
kit="$(cd "$(dirname "$0")" && pwd)" && exec fedpate hospital start "$kit" "$@"
