#!/usr/bin/env bash
# The one command for the day a GPU is there: at most 8 minutes, then benchmarks/GPU.md says what it does.
# Needs torch (2.11 or newer), numpy, scipy, scikit-learn and numba, nothing else. Without a GPU: a reduced form, to standard output.
#
#     benchmarks/on_gpu.sh [--device cuda:0] [--output benchmarks/GPU.md] [--minutes 8]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" benchmarks/on_gpu.py "$@"
