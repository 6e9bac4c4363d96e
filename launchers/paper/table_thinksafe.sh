#!/usr/bin/env bash
# ThinkSafe's table on DeepSeek-R1-Distill-Qwen-7B: four data sets, all trained with its adapters for 3 epochs.
set -euo pipefail
python -m safetax -m +experiment=thinksafe_published \
  dataset=direct_refusal,safechain_40k,star1,thinksafe_published "$@"
