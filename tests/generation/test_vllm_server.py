"""A vLLM server draws with the policy's weights, whatever happens to it; against a stand-in that behaves as it does."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sternpost.generation import vllm_http, vllm_server
from sternpost.generation.backend import Completion, Group, Sampling
from sternpost.generation.vllm_server import VLLMServer
from sternpost.generation.vllm_transfer import FileTransfer, address_towards, directory_for
from sternpost.generation.vllm_weights import checkpoint_weights
from tests import tiny
from tests.generation.fake_vllm import FakeVLLM, completion, fingerprint, refusal
from tests.processes import launch

GROUPS = [Group([5, 9, 3], 4), Group([7], 2), Group([5, 9, 3], 3, max_tokens=2)]
SAMPLING = Sampling(max_tokens=6, temperature=0.7, stop=frozenset({3, 12}), seed=4)


@pytest.fixture
def fake() -> Iterator[FakeVLLM]:
    server = FakeVLLM()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_http, "WATCH", 0.1)
    monkeypatch.setattr(vllm_http, "LONGEST_PAUSE", 0.1)


def connect(fake: FakeVLLM, directory: Path, timeout: float = 20.0, **options) -> VLLMServer:
    return VLLMServer(fake.url, timeout, directory=str(directory), **options)


def expected(fake: FakeVLLM, model, requests: list[Group] = GROUPS) -> list[list[Completion]]:
    """What the stand-in draws with the weights of a model, whose requests are found among those that were made."""
    known = fingerprint(dict(checkpoint_weights(model)))
    found = []
    for group in requests:
        longest = group.longest(SAMPLING)
        body = next(b for b in fake.bodies() if (b["prompt"], b["max_tokens"]) == (group.prompt, longest))
        members = [completion(known, body, index) for index in range(group.count)]
        found.append([Completion(ids, logps, ids[-1] in SAMPLING.stop) for ids, logps in members])
    return found


def test_completions_of_each_group_in_order(fake, tmp_path):
    """Tokens, log-probabilities and whether they ended, for groups of several sizes and bounds."""
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    found = backend.sample(GROUPS, SAMPLING)
    assert found == expected(fake, model)
    assert [len(group) for group in found] == [4, 2, 3]
    assert {completion.finished for group in found for completion in group} == {True, False}
    assert backend.sample([], SAMPLING) == []


def test_what_is_asked(fake, tmp_path):
    """Every option of the sampling reaches vLLM under its name; each group has seeds of its own."""
    backend = connect(fake, tmp_path, regex="[a-z]+")
    backend.sync(tiny.model())
    sampling = Sampling(
        max_tokens=6, temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, repetition_penalty=1.2, stop=frozenset({12, 3}),
        seed=4, extra={"presence_penalty": 0.5},
    )  # fmt: skip
    backend.sample(GROUPS, sampling)
    first = max(fake.bodies(), key=lambda body: body["n"])
    seeds = [body.pop("seed") for body in fake.bodies()]
    assert first == {
        "prompt": [5, 9, 3], "n": 4, "max_tokens": 6, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1,
        "repetition_penalty": 1.2, "stop_token_ids": [3, 12], "ignore_eos": True, "logprobs": 0,
        "return_token_ids": True, "presence_penalty": 0.5, "structured_outputs": {"regex": "[a-z]+"},
    }  # fmt: skip
    assert sorted(body["max_tokens"] for body in fake.bodies()) == [2, 6, 6]
    assert min(abs(one - other) for one in seeds for other in seeds if one is not other) > 4
    assert max(seeds) < 2**63


def test_the_likeliest_tokens_are_asked_for_once(fake, tmp_path):
    """vLLM refuses several greedy completions of a prompt; all members of a group are the same."""
    backend = connect(fake, tmp_path)
    backend.sync(tiny.model())
    (found,) = backend.sample(GROUPS[:1], Sampling(max_tokens=6, temperature=0))
    assert fake.bodies()[0]["n"] == 1
    assert len(found) == 4
    assert found == found[:1] * 4


def test_all_groups_at_once(tmp_path):
    """No request waits for another: none is answered before all have come."""
    everybody = threading.Barrier(20, timeout=20)
    fake = FakeVLLM(fault=lambda number: (everybody.wait(), None)[1])
    backend = connect(fake, tmp_path)
    backend.sync(tiny.model())
    assert len(backend.sample([Group([number + 1], 1) for number in range(20)], SAMPLING)) == 20
    assert fake.most_together == 20
    fake.kill()


def test_weights_arrive_whole(fake, tmp_path, monkeypatch):
    """Bit for bit and under the names of the checkpoint, in several files where one would be too large."""
    monkeypatch.setattr("sternpost.generation.vllm_transfer.PART", 10_000)
    model, backend = tiny.model(), connect(fake, tmp_path / "weights")
    backend.sync(model)
    assert len(backend.transfer.paths) > 2
    names = set(model.state_dict()) - {"lm_head.weight"}  # which is the embedding
    assert set(fake.weights) == names
    assert all(torch.equal(fake.weights[name], model.state_dict()[name]) for name in names)


def test_each_sync_is_seen(fake, tmp_path):
    """After a step the server draws with the new weights, not with what it had computed with the old ones."""
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    before = backend.sample(GROUPS, SAMPLING)
    with torch.no_grad():
        model.model.norm.weight.add_(1.0)
    backend.sync(model)
    after = backend.sample(GROUPS, SAMPLING)
    assert after == expected(fake, model)
    assert after != before


def test_the_name_of_weights_comes_last(fake, tmp_path):
    """Whoever sees the new name may draw: the cache was emptied before."""
    connect(fake, tmp_path).sync(tiny.model())
    path = [path for path, _ in fake.asked if path not in ("/weight_info", "/server_info")]
    assert path == [
        "/start_weight_update", "/update_weights", "/finish_weight_update", "/reset_prefix_cache",
        "/update_weight_version",
    ]  # fmt: skip


def test_files_do_not_pile_up(fake, tmp_path):
    """The files of one sync lie there, for a server that loses them; what a killed run left is replaced."""
    directory = tmp_path / "weights"
    directory.mkdir()
    (directory / "17.safetensors").write_text("left behind")
    backend = connect(fake, directory)
    backend.sync(tiny.model())
    backend.sync(tiny.model())
    assert [path.name for path in directory.glob("*.safetensors")] == ["0.safetensors"]
    backend.transfer.tidying()
    assert not directory.exists()


@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_a_server_that_dies_while_it_draws(fatal, tmp_path):
    """It comes back with other weights, gets those of the policy, and is asked again: nothing is lost."""
    fake = FakeVLLM(fault=lambda number: "die" if number == fatal else None)
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)
    assert fake.life == 2
    assert fake.count()["/update_weight_version"] == 2
    fake.kill()


def test_a_server_that_dies_again_and_again(tmp_path):
    """As long as it gets something done in between: three completions in each life."""
    served, lock = Counter(), threading.Lock()

    def fault(number):
        with lock:
            served[fake.life] += 1
            count = served[fake.life]
        return None if count <= 3 else "die" if count == 4 else "drop"

    fake = FakeVLLM(fault)
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    groups = [Group([number + 1], 2) for number in range(12)]
    assert backend.sample(groups, SAMPLING) == expected(fake, model, groups)
    assert fake.life > 3
    fake.kill()


def test_a_server_that_was_started_again_in_between(fake, tmp_path, caplog):
    """No connection broke while it was used, yet its weights are not the policy's."""
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    fake.restart()
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)
    assert "started again" in caplog.text
    fake.restart()
    backend.sync(model)
    assert fake.count()["/update_weight_version"] == 3


def test_a_server_that_dies_while_it_takes_weights(fake, tmp_path, monkeypatch):
    """The weights are brought to its successor."""
    model, backend = tiny.model(), connect(fake, tmp_path)
    update, lives = FakeVLLM.update_weights, []

    def die_once(self, body):
        lives.append(self.life)
        if len(lives) == 1:
            threading.Thread(target=self.restart).start()
            raise ConnectionAbortedError
        return update(self, body)

    monkeypatch.setattr(FakeVLLM, "update_weights", die_once)
    backend.sync(model)
    assert lives == [1, 2]
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)


@pytest.mark.parametrize("fault", ["drop", "abort", 500, 503])
def test_requests_that_get_lost(fault, tmp_path):
    """Each is made again, and nothing else."""
    fake = FakeVLLM(fault=lambda number: fault if number in (1, 3) else None)
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)
    assert len(fake.bodies()) == len(GROUPS) + 2
    assert fake.count()["/update_weights"] == 1
    fake.kill()


def test_a_request_that_is_always_lost(tmp_path, monkeypatch):
    """The run ends with what the server said, not with an endless loop."""
    monkeypatch.setattr(vllm_server, "ATTEMPTS", 3)
    fake = FakeVLLM(fault=lambda number: 500)
    backend = connect(fake, tmp_path)
    backend.sync(tiny.model())
    with pytest.raises(RuntimeError, match=r"failed 3 times.*EngineCore encountered"):
        backend.sample(GROUPS[:1], SAMPLING)
    assert len(fake.bodies()) == 3
    fake.kill()


def test_weights_that_always_take_it_down(fake, tmp_path, monkeypatch):
    """They are not brought for ever."""
    monkeypatch.setattr(vllm_server, "ATTEMPTS", 2)
    monkeypatch.setattr(FakeVLLM, "update_weights", lambda self, body: refusal(500, "size mismatch"))
    with pytest.raises(RuntimeError, match=r"failed 2 times.*size mismatch"):
        connect(fake, tmp_path).sync(tiny.model())
    assert fake.count()["/update_weights"] == 2


def test_a_refusal_is_told_at_once(tmp_path):
    """With what the server said of it."""
    fake = FakeVLLM(fault=lambda number: 400)
    backend = connect(fake, tmp_path)
    backend.sync(tiny.model())
    with pytest.raises(RuntimeError, match=r"completions with 400: EngineCore encountered"):
        backend.sample(GROUPS[:1], SAMPLING)
    assert len(fake.bodies()) == 1
    fake.kill()


def test_no_server(fake, tmp_path):
    """It is waited for, and then named."""
    backend = connect(fake, tmp_path, timeout=0.3)
    fake.kill()
    with pytest.raises(TimeoutError, match=rf"127.0.0.1:{fake.port} for 0 seconds.*vllm_server_timeout"):
        backend.sync(tiny.model())
    with pytest.raises(TimeoutError, match="No vLLM server"):
        connect(fake, tmp_path, timeout=0.3)


def test_a_server_that_starts_late(fake, tmp_path):
    """The trainer may be there first."""
    fake.kill()
    threading.Timer(0.3, fake.start).start()
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)


def test_a_server_that_hangs(tmp_path, monkeypatch):
    """It holds connections, and answers nothing: neither requests nor whether it lives."""
    fake = FakeVLLM(fault=lambda number: "hang")
    backend = connect(fake, tmp_path, timeout=0.5)
    backend.sync(tiny.model())
    asleep = threading.Event()
    calls = iter(range(100))
    monkeypatch.setattr(
        FakeVLLM, "weight_info",
        lambda self, body: (200, {"weight_version": self.version}) if next(calls) < 1 else asleep.wait(60),
    )  # fmt: skip
    with pytest.raises(TimeoutError, match="does not go on"):
        backend.sample(GROUPS[:1], SAMPLING)
    asleep.set()
    fake.kill()


def test_a_slow_answer_is_waited_for(tmp_path):
    """Longer than the time-out, as long as the server lives."""
    slow = threading.Event()
    fake = FakeVLLM(fault=lambda number: slow.wait(1.0) or None)
    model, backend = tiny.model(), connect(fake, tmp_path, timeout=0.3)
    backend.sync(model)
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)
    assert len(fake.bodies()) == len(GROUPS)
    fake.kill()


def test_an_update_that_was_left_open(fake, tmp_path):
    """A trainer was killed while it sent weights; the next one begins anew."""
    fake.loading = {}
    model, backend = tiny.model(), connect(fake, tmp_path)
    backend.sync(model)
    assert backend.sample(GROUPS, SAMPLING) == expected(fake, model)


def test_two_runs_with_one_server(fake, tmp_path):
    """The one that finds the other's weights says so, rather than to learn from them."""
    model, backend = tiny.model(), connect(fake, tmp_path / "one")
    backend.sync(model)
    connect(fake, tmp_path / "other").sync(model)
    with pytest.raises(RuntimeError, match="weights of another run"):
        backend.sample(GROUPS, SAMPLING)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dev_mode": False}, r"404.*VLLM_SERVER_DEV_MODE=1 vllm serve"),
        ({"logprobs_mode": "raw_logprobs"}, r"`raw_logprobs`.*--logprobs-mode processed_logprobs"),
        ({"backend": None}, r"weight transfer None.*--weight-transfer-config"),
        ({"backend": "ipc"}, r"weight transfer 'ipc'.*--weight-transfer-config"),
    ],
)
def test_a_server_that_was_started_wrongly(config, message, tmp_path):
    """The message is the command that starts it rightly."""
    fake = FakeVLLM(**config)
    with pytest.raises(ValueError, match=message):
        connect(fake, tmp_path)
    fake.kill()


def test_what_cannot_be_drawn(fake, tmp_path):
    """Nothing is asked before there are weights, and empty prompts are named."""
    backend = connect(fake, tmp_path)
    with pytest.raises(RuntimeError, match="sync"):
        backend.sample(GROUPS, SAMPLING)
    backend.sync(tiny.model())
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        backend.sample([GROUPS[0], Group([], 2)], SAMPLING)
    with pytest.raises(ValueError, match=r"`base_url='localhost:8000'` has to begin with http"):
        VLLMServer("localhost:8000")


def test_where_weights_are_put():
    """In memory of this host, by server; a server elsewhere needs another way."""
    assert directory_for("http://localhost:8123").endswith(f"sternpost-vllm-{os.getuid()}-8123")
    assert directory_for("http://0.0.0.0:8123") == directory_for("http://127.0.0.1:8123/")
    with pytest.raises(ValueError, match=r"another host.*nccl"):
        directory_for("http://gpu17:8000")
    assert address_towards("http://127.0.0.1:8123") == "127.0.0.1"


def test_a_server_that_takes_weights_by_nccl(tmp_path):
    """It needs no files; a rank that has no weights waits for the one that has, which names them."""
    fake = FakeVLLM(backend="nccl")
    backend = connect(fake, tmp_path, timeout=20.0)
    assert not isinstance(backend.transfer, FileTransfer)
    backend.version = "named by the first rank"
    threading.Timer(0.3, fake.update_weight_version, ({"new_version": backend.version},)).start()
    assert len(backend.sample(GROUPS, SAMPLING)) == len(GROUPS)
    assert fake.count()["/start_weight_update"] == 0
    fake.kill()


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Sharded weights arrive whole; each rank draws its own, and brings weights again if it is the one to notice."""
    fake = FakeVLLM()
    launch(Path(__file__).parent / "vllm_ranks.py", 2, fake.url, str(tmp_path))
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    model = tiny.model()
    for rank, (before, after) in enumerate(found):
        group = Group([rank + 1, 5], 3)
        assert [before] == expected(fake, model, [group])
        assert after == before
    assert fake.count()["/update_weight_version"] == 2
    assert fake.life == 2
    fake.kill()
