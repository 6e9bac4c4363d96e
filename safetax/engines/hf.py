"""Generation with transformers' own ``generate``: batched, longest prompts first, with a KV cache.

A batch runs through thinking and answer in one pass; each row ends by itself or at its budgets. Only thinking that was
cut, or whose end is more than one token, needs a second pass for the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from safetax.engines import Generated, Markers, Prompt
from safetax.records import EndOfThinking

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Config:
    """Arithmetic of the model."""

    kind: str
    dtype: Literal["float32", "bfloat16"] = "float32"


def start(config: Config, model: Any, tokenizer: Any, batch: int) -> HfEngine:
    """Return an engine over a loaded model.

    Args:
        config: the engine's configuration.
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        batch: prompts generated at once.
    """
    return HfEngine(model, tokenizer.pad_token_id, batch)


@dataclass(frozen=True)
class _Work:
    """A prompt in the queue; ``thinking`` is set once only the answer is missing."""

    index: int
    prompt: Prompt
    thinking: list[int] | None = None
    end_of_thinking: EndOfThinking = "none"

    @property
    def group(self) -> tuple[int, int, bool]:
        """What the rows of a batch have in common; the longest go first."""
        return (self.prompt.thinking_budget or 0, self.prompt.answer_budget, self.prompt.temperature > 0)


class HfEngine:
    """Generates with a model of transformers on the device that the model is on."""

    def __init__(self, model: Any, pad: int, batch: int) -> None:
        self.model = model.eval()
        self.pad = pad
        self.batch = batch

    def respond(self, prompts: Sequence[Prompt], markers: Markers) -> Iterator[tuple[int, Generated]]:
        """Yield the index of each prompt with its response, as batches finish."""
        queue = [_Work(index, prompt) for index, prompt in enumerate(prompts)]
        answers: list[_Work] = []  # second passes; they go first, so that responses are finished as early as can be
        while queue or answers:
            source = answers if len(answers) >= self.batch or not queue else queue
            source.sort(key=lambda work: (work.group, len(work.prompt.tokens)), reverse=True)
            group = source[0].group
            rows = [work for work in source if work.group == group][: self.batch]
            chosen = {work.index for work in rows}
            source[:] = [work for work in source if work.index not in chosen]
            for work, tokens in zip(rows, self._generate(rows, markers), strict=True):
                finished = self._read(work, tokens, markers)
                if isinstance(finished, _Work):
                    answers.append(finished)
                else:
                    yield work.index, finished

    def _read(self, work: _Work, tokens: list[int], markers: Markers) -> Generated | _Work:
        """Split what a row generated into thinking and answer; thinking without its answer goes back to the queue."""
        budget = work.prompt.thinking_budget
        if budget is None:
            ended = bool(tokens) and tokens[-1] == markers.end_of_turn
            answer = tokens[:-1] if ended else tokens
            return Generated(work.thinking, answer, work.end_of_thinking, "stop" if ended else "budget")
        stop = markers.stop_thinking
        at = _find(tokens, stop)
        if at is not None and self._one_pass(markers):
            rest = replace(work.prompt, thinking_budget=None)
            return self._read(_Work(work.index, rest, tokens[:at], "closed"), tokens[at + len(stop) :], markers)
        if at is not None:
            thinking, end, glue = tokens[:at], "closed", markers.after_thinking
        elif tokens and tokens[-1] == markers.end_of_turn:
            thinking, end, glue = tokens[:-1], "end_of_text", markers.after_thinking
        else:
            thinking, end, glue = tokens, "budget", markers.after_budget
        prompt = replace(work.prompt, tokens=[*work.prompt.tokens, *thinking, *glue], thinking_budget=None)
        return _Work(work.index, prompt, thinking, end)  # type: ignore[arg-type]

    @staticmethod
    def _one_pass(markers: Markers) -> bool:
        """Whether the model can go on from thinking to answer without anything put in between."""
        return len(markers.stop_thinking) == 1 and markers.after_thinking == markers.stop_thinking

    def _generate(self, rows: Sequence[_Work], markers: Markers) -> list[list[int]]:
        """Return the new tokens of each row, cut where the row ended."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        longest = max(len(row.prompt.tokens) for row in rows)
        ids = torch.full((len(rows), longest), self.pad)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, longest - len(row.prompt.tokens) :] = torch.tensor(row.prompt.tokens)
            mask[index, longest - len(row.prompt.tokens) :] = 1
        device = self.model.device
        first = rows[0].prompt
        thinking, one_pass = first.thinking_budget, self._one_pass(markers)
        limit = first.answer_budget if thinking is None else thinking + (first.answer_budget + 1 if one_pass else 0)
        stopping: list[Any] = []
        if thinking is not None:
            stopping.append(_ThinkingEnds(markers.stop_thinking, thinking, first.answer_budget, one_pass, longest))
        sampling = [_SeededSampling([row.prompt for row in rows], longest)] if first.temperature > 0 else []
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=markers.end_of_turn,
            pad_token_id=self.pad,
            use_cache=True,
        )
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList(stopping),  # type: ignore[arg-type]
                logits_processor=LogitsProcessorList(sampling),  # type: ignore[arg-type]
            )
        new = output[:, longest:].tolist()
        return [_trim(row, tokens, markers, one_pass) for row, tokens in zip(rows, new, strict=True)]


def _find(tokens: Sequence[int], marker: Sequence[int]) -> int | None:
    """Return where a marker begins in the tokens, or None."""
    if not marker:
        return None
    width = len(marker)
    for start_at in range(len(tokens) - width + 1):
        if tokens[start_at] == marker[0] and list(tokens[start_at : start_at + width]) == list(marker):
            return start_at
    return None


def _trim(row: _Work, tokens: list[int], markers: Markers, one_pass: bool) -> list[int]:
    """Cut a row's tokens where its turn or its budgets ended: behind that stand other rows' padding."""
    if markers.end_of_turn in tokens:
        tokens = tokens[: tokens.index(markers.end_of_turn) + 1]
    budget = row.prompt.thinking_budget
    if budget is None:
        return tokens[: row.prompt.answer_budget]
    at = _find(tokens, markers.stop_thinking)
    if at is None or at >= budget:
        return tokens[:budget]
    behind = at + len(markers.stop_thinking)
    return tokens[: behind + row.prompt.answer_budget] if one_pass else tokens[:behind]


class _ThinkingEnds:
    """Ends a row at the end of its thinking or, where one pass does both, at the end of its answer."""

    def __init__(self, marker: list[int], thinking: int, answer: int, one_pass: bool, prompt_length: int) -> None:
        self.marker = marker
        self.thinking = thinking
        self.answer = answer
        self.one_pass = one_pass
        self.prompt_length = prompt_length
        self.closed_at: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        written = input_ids.shape[1] - self.prompt_length
        if self.closed_at is None:
            self.closed_at = torch.zeros(input_ids.shape[0], dtype=torch.long, device=input_ids.device)
        width = len(self.marker)
        if written >= width:
            tail = input_ids[:, -width:] == torch.tensor(self.marker, device=input_ids.device)
            self.closed_at[tail.all(dim=1) & (self.closed_at == 0)] = written
        closed = self.closed_at > 0
        if not self.one_pass:
            return closed | (written >= self.thinking)
        return torch.where(closed, written - self.closed_at >= self.answer, written >= self.thinking)


class _SeededSampling:
    """Samples every row from its own seed, whatever other rows are in the batch.

    Leaves one token a finite score, so that greedy search takes it.
    """

    def __init__(self, prompts: Sequence[Prompt], prompt_length: int) -> None:
        import torch

        self.prompt_length = prompt_length
        self.temperature = torch.tensor([[prompt.temperature] for prompt in prompts])
        self.top_p = torch.tensor([[prompt.top_p] for prompt in prompts])
        self.generators = [torch.Generator().manual_seed(prompt.seed) for prompt in prompts]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        probabilities = torch.softmax(scores.double() / self.temperature.to(scores.device), dim=-1)
        ordered, tokens = probabilities.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        ordered = ordered.masked_fill(before >= self.top_p.to(scores.device), 0.0)
        cumulative = ordered.cumsum(dim=-1)
        draws = torch.tensor([torch.rand((), generator=generator).item() for generator in self.generators])
        targets = draws.to(scores.device, cumulative.dtype).unsqueeze(1) * cumulative[:, -1:]
        place = torch.searchsorted(cumulative, targets, right=True).clamp(max=cumulative.shape[1] - 1)
        chosen = tokens.gather(1, place)
        return torch.full_like(scores, float("-inf")).scatter(1, chosen, 0.0)
