#!/usr/bin/env bash
# How few samples activate refusal: 10 to 1,000, three draws, plain and in the reasoning model's own words.
set -euo pipefail
python -m safetax -m +experiment=few_samples dataset.source=direct_refusal,dgr "$@"
