"""One replica of vLLM: ``python -m safetax.evaluation.engines._vllm_replica``, started by the engine ``vllm``.

Reads JSON lines: first the engine's settings, then requests, for as long as its standard input is open; writes JSON
lines: ``ready``, and each request's tokens as soon as it is finished. What libraries print goes to standard error. The
engine runs in this process, so that nothing but this process has to end for its memory to be free.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import traceback
from typing import Any, TextIO

from safetax.store.child_process import end_with_parent

Requests = queue.Queue[dict[str, Any] | None]


def main() -> int:
    """Serve until the standard input closes; returns the exit code."""
    end_with_parent()
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.readline())
    requests: Requests = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    try:
        from vllm import EngineArgs, LLMEngine  # pyright: ignore

        engine = LLMEngine.from_engine_args(EngineArgs(**settings))
        serve(engine, requests, events)
        engine.engine_core.shutdown()
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _read(requests: Requests) -> None:
    with contextlib.suppress(ValueError):  # the parent died in the middle of a line
        for line in sys.stdin:
            requests.put(json.loads(line))
    if requests.unfinished_tasks:
        os._exit(1)  # nobody hears the answers any more
    requests.put(None)


def serve(engine: Any, requests: Requests, events: TextIO) -> None:
    """Do requests until there is a None among them, as many at a time as there are."""

    def send(event: str, **values: Any) -> None:
        events.write(json.dumps({"event": event, **values}) + "\n")

    send("ready")
    while True:
        while not requests.empty() or not engine.has_unfinished_requests():
            request = requests.get()
            if request is None:
                return
            try:
                engine.add_request(
                    str(request["id"]), {"prompt_token_ids": request["tokens"]}, _sampling(request["sampling"])
                )
            except Exception as error:
                requests.task_done()
                send("refused", id=request["id"], message=f"{type(error).__name__}: {error}")
        for output in engine.step():
            if output.finished:
                (done,) = output.outputs
                requests.task_done()
                send(
                    "done",
                    id=int(output.request_id),
                    tokens=list(done.token_ids),
                    finish=done.finish_reason,
                    reason=done.stop_reason,
                )


def _sampling(values: dict[str, Any]) -> Any:
    from vllm import SamplingParams  # pyright: ignore
    from vllm.sampling_params import RequestOutputKind  # pyright: ignore

    return SamplingParams(
        **values,
        # Only what the request names ends it; and text is made of tokens only where it is looked for in it.
        ignore_eos=True,
        detokenize=bool(values["stop"]),
        include_stop_str_in_output=True,
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # what libraries would still tidy up, the kernel does sooner
