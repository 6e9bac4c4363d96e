"""Generation with transformers' own ``generate``: batched, longest prompts first, with a KV cache.

Where one token ends the thinking and the model goes on by itself, a batch runs through thinking and answer in one pass,
and each row ends by itself or at its budgets. All else takes a pass for each part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from safetax.config.needs import Library, Needs, ServedModel
from safetax.evaluation.engines import ALONE, Generated, Markers, Prompt, PromptSharing, Source
from safetax.evaluation.engines._two_phase import CompletionRequest, Finish, TwoPhaseResponse, longest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Config:
    """Arithmetic of the model."""

    kind: str
    dtype: Literal["float32", "bfloat16"] = "float32"


def needs(config: Config) -> Needs:
    """Return one copy of the model on one GPU."""
    return Needs(libraries=(Library("transformers"),), served_model=ServedModel(config.dtype))


def start(config: Config, source: Source, runtime: Mapping[str, Any]) -> HfEngine:
    """Load the model and return an engine over it, on the GPU where there is one."""
    import torch

    from safetax.models.checkpoint import load_model

    model = load_model(source.identity, source.inputs, source.tokenizer, config.dtype, seed=0)
    if torch.cuda.is_available():
        model = model.to("cuda")
    return HfEngine(model, source.tokenizer, runtime["generate_batch"])


@dataclass(frozen=True)
class _Queued:
    """A response in the queue; ``behind`` is the answer's budget where one pass does both."""

    index: int
    response: TwoPhaseResponse
    request: CompletionRequest
    behind: int | None

    @property
    def group(self) -> tuple[str, int, bool]:
        """What the rows of a batch have in common; thinking goes before answers."""
        return (self.request.marker or "", self.behind or 0, self.request.temperature > 0)

    @property
    def length(self) -> tuple[int, int]:
        """By which the longest go first."""
        return (self.request.limit, len(self.request.tokens))


class HfEngine:
    """Generates with a model of transformers on the device that the model is on; its own settings count for nothing."""

    def __init__(self, model: Any, tokenizer: Any, batch: int) -> None:
        from importlib.metadata import version

        import torch
        from transformers import GenerationConfig

        self.model: Any = model.eval()
        # What a request leaves open would come from the model's own settings, a repetition penalty above all.
        self.model.generation_config = GenerationConfig()
        self.tokenizer = tokenizer
        self.batch = batch
        self.facts: dict[str, Any] = {
            "library": "transformers",
            "version": version("transformers"),
            "device": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type,
            "dtype": str(model.dtype).removeprefix("torch."),
        }

    def close(self) -> None:
        """Let the model go."""
        self.model = None

    def respond(
        self, prompts: Sequence[Prompt], markers: Markers, sharing: PromptSharing = ALONE
    ) -> Iterator[tuple[int, Generated]]:
        """Yield the index of each prompt that is this engine's with its response, as batches finish."""
        context = getattr(self.model.config, "max_position_embeddings", None)
        longest(prompts, markers, self.tokenizer, context)
        responses = [TwoPhaseResponse(prompt, markers, self.tokenizer) for prompt in prompts]
        queue = [self._queued(index, response) for index, response in enumerate(responses)]
        further: list[_Queued] = []  # later passes; they go first, so that responses are finished as early as can be
        while queue or further:
            source = further if len(further) >= self.batch or not queue else queue
            source.sort(key=lambda queued: (queued.group, queued.length), reverse=True)
            group = source[0].group
            share = self.batch if source is further else min(self.batch, math.ceil(len(queue) / sharing.nodes))
            rows = [queued for queued in source if queued.group == group][:share]
            chosen = {queued.index for queued in rows}
            source[:] = [queued for queued in source if queued.index not in chosen]
            if source is queue:
                rows = [queued for queued in rows if sharing.claim(queued.index)]
            if not rows:
                continue
            for queued, tokens in zip(rows, self._generate(rows, markers), strict=True):
                self._take(queued, tokens, markers)
                if queued.response.result is not None:
                    yield queued.index, queued.response.result
                else:
                    further.append(self._queued(queued.index, queued.response))

    def _queued(self, index: int, response: TwoPhaseResponse) -> _Queued:
        request, markers = response.request, response.markers
        assert request is not None
        one_pass = (
            request.marker is not None
            and response.ignores_left == 0
            and markers.resume_answer == request.marker
            and len(response.encode(request.marker)) == 1
        )
        return _Queued(index, response, request, response.prompt.answer_budget if one_pass else None)

    def _take(self, queued: _Queued, tokens: list[int], markers: Markers) -> None:
        """Give a row's tokens to its response; in one pass the marker parts thinking from answer."""
        request, response = queued.request, queued.response
        first, finish = self._ended(tokens[: request.limit], markers)
        at = self._marker_end(first, request.marker) if request.marker is not None else None
        if at is None:
            response.feed(first, finish)
            return
        response.feed(tokens[:at], "marker")
        if queued.behind is not None:
            response.feed(*self._ended(tokens[at : at + queued.behind], markers))

    def _ended(self, tokens: list[int], markers: Markers) -> tuple[list[int], Finish]:
        """Return tokens up to the end of the response, and whether there was one.

        An end token is left out, an end text is not.
        """
        ends = [tokens.index(token) for token in markers.end_tokens if token in tokens]
        tokens, finish = (tokens[: min(ends)], "end") if ends else (tokens, "length")
        texts = [end for text in markers.end_texts if (end := self._marker_end(tokens, text)) is not None]
        return (tokens[: min(texts)], "end") if texts else (tokens, finish)

    def _marker_end(self, tokens: list[int], marker: str) -> int | None:
        """Return how many tokens it takes until a text stands there, or None."""
        ids = self.tokenizer.encode(marker, add_special_tokens=False)
        if len(ids) == 1:
            return tokens.index(ids[0]) + 1 if ids[0] in tokens else None
        if marker not in self.tokenizer.decode(tokens, skip_special_tokens=False):
            return None
        low, high = 1, len(tokens)
        while low < high:
            middle = (low + high) // 2
            if marker in self.tokenizer.decode(tokens[:middle], skip_special_tokens=False):
                high = middle
            else:
                low = middle + 1
        return low

    def _generate(self, rows: Sequence[_Queued], markers: Markers) -> list[list[int]]:
        """Return the new tokens of each row: what ended it, and the padding behind, are still there."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        requests = [row.request for row in rows]
        pad = self.tokenizer.pad_token_id
        ids, mask = padded([request.tokens for request in requests], pad, "left", self.model.device)
        longest_prompt = ids.shape[1]
        tokens, texts = rows[0].response.endings()
        behind = rows[0].behind
        closing = tokens[len(markers.end_tokens) :]
        stopping: list[Any] = [_BudgetEnds(closing, [request.limit for request in requests], behind, longest_prompt)]
        if texts:
            stopping.append(_TextEnds(self.tokenizer, texts, longest_prompt))
        sampling: list[Any] = [_SeededSampling(requests)] if requests[0].temperature > 0 else []
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(request.limit for request in requests) + (0 if behind is None else behind + 1),
            eos_token_id=list(markers.end_tokens),
            pad_token_id=pad,
            use_cache=True,
        )
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                stopping_criteria=StoppingCriteriaList(stopping),
                logits_processor=LogitsProcessorList(sampling),
            )
        return output[:, longest_prompt:].tolist()


def padded(rows: Sequence[Sequence[int]], pad: int, side: Literal["left", "right"], device: Any) -> tuple[Any, Any]:
    """Return token ids and attention mask, each of shape (rows, longest), on a device."""
    import torch

    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        place = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        ids[index, place] = torch.tensor(row, dtype=torch.long)
        mask[index, place] = 1
    return ids.to(device), mask.to(device)


class _TextEnds:
    """Ends a row at a text of several tokens, which may be tokenised in more than one way."""

    def __init__(self, tokenizer: Any, texts: Sequence[str], prompt_length: int) -> None:
        self.tokenizer = tokenizer
        self.texts = texts
        self.prompt_length = prompt_length
        # No token is less than a byte, and the first and the last may be in part something else's.
        self.tail = max(len(text.encode()) for text in texts) + 2

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        start = max(self.prompt_length, input_ids.shape[1] - self.tail)
        tails = self.tokenizer.batch_decode(input_ids[:, start:].tolist(), skip_special_tokens=False)
        return torch.tensor([any(text in tail for text in self.texts) for tail in tails], device=input_ids.device)


class _BudgetEnds:
    """Ends a row at its limit or at the token that closes its thinking, in one pass at its answer's limit behind it."""

    def __init__(self, closing: Sequence[int], limits: Sequence[int], answer: int | None, prompt_length: int) -> None:
        self.marker = closing[0] if closing else -1
        self.limits = list(limits)
        self.answer = answer
        self.prompt_length = prompt_length
        self.closed_at: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        written = input_ids.shape[1] - self.prompt_length
        if self.closed_at is None:
            self.closed_at = torch.zeros(input_ids.shape[0], dtype=torch.long, device=input_ids.device)
            self.row_limits = torch.tensor(self.limits, device=input_ids.device)
        self.closed_at[(input_ids[:, -1] == self.marker) & (self.closed_at == 0)] = written
        closed = self.closed_at > 0
        if self.answer is None:
            return closed | (written >= self.row_limits)
        return torch.where(closed, written - self.closed_at >= self.answer, written >= self.row_limits)


class _SeededSampling:
    """Samples every row from its own seed, whatever other rows are in the batch.

    Leaves one token a finite score, so that greedy search takes it.
    """

    def __init__(self, requests: Sequence[CompletionRequest]) -> None:
        import torch

        self.temperature = torch.tensor([[request.temperature] for request in requests])
        self.top_p = torch.tensor([[request.top_p] for request in requests])
        self.generators = [torch.Generator().manual_seed(request.seed) for request in requests]

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
