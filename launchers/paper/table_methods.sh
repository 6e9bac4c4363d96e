#!/usr/bin/env bash
# Other methods, each on its own data with its own published training, on one model: the trade-off that each of them buys.
set -euo pipefail
python -m safetax -m +experiment=star1,r1_act,safechain_40k,thinksafe_published,lora_safety "$@"
