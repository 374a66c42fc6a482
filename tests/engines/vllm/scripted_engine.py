"""An engine with vLLM's interface whose logits are a function of the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

from pytest_kdmem.engines.vllm.cascade import HIGHEST

VOCABULARY = 5


def sampling(tokens: int, **logits: int):
    return SimpleNamespace(tokens=tokens, **logits)


def flat(entries):
    """vLLM's FlatLogprobs, from the tokens and logits of each position; None for a position without any."""
    logprobs = SimpleNamespace(start_indices=[], end_indices=[], token_ids=[], logprobs=[])
    for entry in entries:
        logprobs.start_indices.append(len(logprobs.token_ids))
        for token, logit in entry or []:
            logprobs.token_ids.append(token)
            logprobs.logprobs.append(logit)
        logprobs.end_indices.append(len(logprobs.token_ids))
    return logprobs


@dataclass
class ScriptedEngine:
    """Has the interface of vLLM's engine.

    Attributes:
        logits: Function from token ids to the logits of the next token.
        late: Whether an aborted request gives one more token, as with asynchronous scheduling.
        last: Whether the last of tied tokens is chosen and not the first.
        most: Largest number of requests held at once.
        decoded: Number of decoded tokens.
    """

    logits: object
    late: bool = False
    last: bool = False
    live: dict = field(default_factory=dict)
    aborted: list = field(default_factory=list)
    most: int = 0
    decoded: int = 0

    def add_request(self, request_id, prompt, params):
        assert request_id not in self.live
        self.live[request_id] = [list(prompt), params, 0]
        self.most = max(self.most, len(self.live))

    def abort_request(self, request_ids):
        for name in request_ids:
            ids, params, generated = self.live.pop(name)
            if self.late and generated < params.tokens:
                self.aborted.append((name, ids))

    def entry(self, ids, token=None):
        logits = self.logits(ids)
        order = sorted(range(len(logits)), key=lambda at: (-logits[at], -at if self.last else at))
        token = order[0] if token is None else token
        return token, [(token, logits[token]), *((at, logits[at]) for at in order[:HIGHEST])]

    def output(self, name, ids, entry, finished, whole=None):
        completion = SimpleNamespace(token_ids=[entry[0]], logprobs=flat([entry[1]]))
        return SimpleNamespace(request_id=name, outputs=[completion], prompt_logprobs=whole, finished=finished)

    def step(self):
        late, self.aborted = self.aborted, []
        outputs = [self.output(name, ids, self.entry(ids), False) for name, ids in late]
        for name, state in list(self.live.items()):
            ids, params, generated = state
            whole = None
            if getattr(params, "prompt_logprobs", None):
                assert params.prompt_logprobs == HIGHEST
                whole = flat([None, *(self.entry(ids[:at], ids[at])[1] for at in range(1, len(ids)))])
            entry = self.entry(ids)
            finished = generated + 1 == params.tokens
            self.decoded += 1
            if finished:
                del self.live[name]
            else:
                state[0], state[2] = [*ids, entry[0]], generated + 1
            outputs.append(self.output(name, ids, entry, finished, whole))
        return outputs
