#!/usr/bin/env bash
# Everything about the kernels that only a GPU can tell, in about 15 minutes: kernels/benchmarks/run_on_gpu.sh OUT
# README.md, beside this file, explains what is measured; --quick tries all of it on a CPU, with tiny sizes.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHONPATH="$root:$root/kernels${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" "$root/kernels/benchmarks/steps.py" "$@"
