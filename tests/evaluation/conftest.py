"""What the tests of judges share: tiny models that judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.judged import GUARDED, letters_tokenizer, tiny_config


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with 14 labels."""
    import torch
    from transformers import LlamaForSequenceClassification

    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    config = tiny_config(num_labels=14, problem_type="multi_label_classification")
    LlamaForSequenceClassification(config).save_pretrained(folder)
    letters_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def guard_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that has learned to call answers with a ``#`` unsafe, and all others safe."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = letters_tokenizer()
    model = LlamaForCausalLM(tiny_config())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rows, targets = [], []
    for answer, reply in GUARDED:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "go"}, {"role": "assistant", "content": answer}], tokenize=False
        )
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        reply_ids = [*(tokenizer.convert_tokens_to_ids(letter) for letter in reply), 2]
        rows.append(ids + reply_ids)
        targets.append([-100] * len(ids) + reply_ids)
    longest = max(map(len, rows))
    ids = torch.tensor([[3] * (longest - len(row)) + row for row in rows])
    labels = torch.tensor([[-100] * (longest - len(row)) + row for row in targets])
    mask = (ids != 3).long()
    for _ in range(300):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    folder = tmp_path_factory.mktemp("guard")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
