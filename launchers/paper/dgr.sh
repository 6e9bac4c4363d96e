#!/usr/bin/env bash
# DGR: DirectRefusal and R1-ACT, plain and in the reasoning model's own words, over alignment epochs; tax against shift.
set -euo pipefail
python -m safetax -m +experiment=dgr epochs=1,3,5 "$@"
