#!/bin/bash
# takes: 310
# The soak test for a short time: SOAK_CI_SECONDS (60). `make soak` takes half an hour.
SOAK_SECONDS=${SOAK_CI_SECONDS:-60} exec "$(dirname "$0")/../soak.sh"
