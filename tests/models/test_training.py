"""The trainer learns, a killed run goes on bit for bit, and the batch may be split any way."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import models
from models import checkpoint, families, train
from models.data.procedural.source import ProceduralObjects
from models.training.batches import Batches, Share
from models.training.config import Stage, TrainConfig, read_config
from models.training.journal import Journal
from models.training.objective import Objective
from models.training.objects import PackedRenders
from models.training.state import TrainState
from models.training.validation import validate
from tests.models.scenes import write_spheres

ROOT = Path(__file__).resolve().parents[2]
SMOKE_FILE = ROOT / "models" / "configs" / "smoke.json"
NETWORK, SMOKE = read_config(SMOKE_FILE)
LESS = 0.6  # of its first loss is what the smoke run must reach


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    write_spheres(folder / "train")
    write_spheres(folder / "heldout", objects=1)
    return folder


@pytest.fixture(scope="module")
def spheres(data):
    return PackedRenders(data / "train")


def new_state(config: TrainConfig = SMOKE) -> TrainState:
    torch.manual_seed(0)
    return TrainState(families.build(NETWORK), config)


def batches_of(source, config: TrainConfig = SMOKE, **options) -> Batches:
    return Batches(source, None, config, (32, 0.85), **options)


def run_steps(state: TrainState, batches: Batches, count: int) -> dict[str, torch.Tensor]:
    steps = batches.steps(state.step)
    for _ in range(count):
        terms = train.train_step(state, next(steps), batches.share)
    return terms


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_smoke_run_lowers_the_loss(spheres, tmp_path):
    state = new_state()
    with Journal(tmp_path, state) as journal:
        train.train(state, batches_of(spheres), journal, {"train": spheres}, tmp_path)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert state.step == entries[-1]["step"] == SMOKE.steps
    steps = [e for e in entries if "loss" in e]
    first, last = (sum(e["loss"] for e in part) / 3 for part in (steps[:3], steps[-3:]))
    (seen,) = (e for e in entries if "train.solid" in e)  # steps / picture_every
    untrained = validate(new_state().model, SMOKE, spheres)
    assert {name.removeprefix("train.") for name in seen} >= set(untrained)
    assert seen["train.solid"] < LESS * untrained["solid"] and seen["train.rgb"] < LESS * untrained["rgb"]
    assert last < LESS * first, f"loss went from {first:.4f} to {last:.4f}"
    assert {p.name for p in tmp_path.iterdir()} == {"state.pt", "checkpoint", "train.png", "log.jsonl"}
    assert models.load(tmp_path / "checkpoint").config == state.model.config


def test_resume_is_bit_for_bit(spheres, tmp_path):
    whole, broken, resumed = new_state(), new_state(), new_state()
    batches = batches_of(spheres)
    run_steps(whole, batches, 6)
    run_steps(broken, batches, 3)
    broken.save(tmp_path / "state.pt")
    resumed.load(tmp_path / "state.pt")
    run_steps(resumed, batches, 3)
    assert same_weights(whole.model, resumed.model) and same_weights(whole.average, resumed.average)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was_saved(data, tmp_path):
    """The command itself, killed without warning, against one that was left alone."""
    config = json.loads(SMOKE_FILE.read_text())
    config["train"] |= {"steps": 30, "save_every": 5, "picture_every": 1000}
    (tmp_path / "c.json").write_text(json.dumps(config))

    def start(out: Path) -> subprocess.Popen:
        words = [sys.executable, "-m", "models.train", tmp_path / "c.json", "--data", data, "--out", out]
        return subprocess.Popen([*words, "--threads", "1", "--device", "cpu"], cwd=ROOT)

    assert start(tmp_path / "whole").wait() == 0
    killed, state = start(tmp_path / "killed"), tmp_path / "killed" / "state.pt"
    while not state.exists() and killed.poll() is None:
        pass
    killed.kill()
    killed.wait()
    assert start(tmp_path / "killed").wait() == 0
    runs = [models.load(tmp_path / name / "checkpoint") for name in ("whole", "killed")]
    assert same_weights(*runs)


def test_workers_bring_the_same_batches(spheres):
    config = dataclasses.replace(SMOKE, steps=3)
    alone, helped = (batches_of(spheres, config, workers=n).steps(0) for n in (0, 1))
    for (a,), (b,) in zip(alone, helped, strict=True):
        assert torch.equal(a.image, b.image) and torch.equal(a.points.positions, b.points.positions)


def test_processes_share_out_what_one_would_accumulate():
    numbers = [n for rank in range(3) for n in Share(rank, 3).numbers(step=5, accumulate=2)]
    assert sorted(numbers) == list(Share().numbers(step=5, accumulate=6)) == list(range(30, 36))


@pytest.mark.slow
def test_two_processes_do_what_one_does_that_accumulates(data, tmp_path):
    """Through PyTorch's launcher, gradients over gloo. Sums in another order: close, not equal."""
    config = json.loads(SMOKE_FILE.read_text())
    config["train"] |= {"steps": 4, "save_every": 4, "picture_every": 1000}
    words = ["--data", str(data), "--threads", "1", "--device", "cpu"]
    for name, processes, accumulate in (("one", 1, 2), ("two", 2, 1)):
        config["train"]["accumulate"] = accumulate
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(config))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*launcher, f"--nproc-per-node={processes}", "-m", "models.train", str(file), *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--out", str(tmp_path / name)], cwd=ROOT, env=environment, check=True)
    one, two = (models.load(tmp_path / name / "checkpoint") for name in ("one", "two"))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-5)


def test_accumulation_is_the_mean_of_its_parts(spheres):
    """Gradients of two accumulated micro-batches are the mean of each one's."""
    config = dataclasses.replace(SMOKE, accumulate=2)
    both = next(batches_of(spheres, config).steps(0))
    each = []
    for batch, seed in zip(both, (7, 8), strict=True):
        state = new_state(config)
        state.accumulate([batch], [seed])
        each.append([p.grad for p in state.model.parameters()])
    state = new_state(config)
    state.accumulate(both, [7, 8])
    for p, a, b in zip(state.model.parameters(), *each, strict=True):
        assert torch.allclose(p.grad, (a + b) / 2, atol=1e-6)


def test_muon_moves_matrices_and_adamw_the_rest(spheres, tmp_path):
    """Each weight has one optimiser; most singular values of Muon's step are of one size; resumed exactly."""
    config = dataclasses.replace(SMOKE, optimizer="muon", weight_decay=0.0)
    state, resumed = new_state(config), new_state(config)
    muon, adamw = state.optimizers
    groups = [p for optimizer in (muon, adamw) for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in groups} == {id(p) for p in state.model.parameters()}
    assert len(groups) == len({id(p) for p in groups})
    matrix = state.model.encoder.blocks[0].mlp.fc1.weight
    before, batches = matrix.detach().clone(), batches_of(spheres, config)
    run_steps(state, batches, 1)
    values = torch.linalg.svdvals(matrix.detach() - before)
    assert values.max() < 2 * values.median()  # Newton-Schulz brings all but the smallest to 0.7 .. 1.2
    state.save(tmp_path / "state.pt")
    resumed.load(tmp_path / "state.pt")
    run_steps(state, batches, 2)
    run_steps(resumed, batches, 2)
    assert same_weights(state.model, resumed.model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # PyTorch's own
def test_a_compiled_network_trains_alike(spheres):
    eager, compiled = new_state(), new_state(dataclasses.replace(SMOKE, compile=True))
    batches = batches_of(spheres)
    for state in (eager, compiled):
        run_steps(state, batches, 2)
    for a, b in zip(eager.model.parameters(), compiled.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_stays_near_float32(spheres, precision):
    exact, low = new_state(), new_state(dataclasses.replace(SMOKE, precision=precision))
    batches = batches_of(spheres)
    for state in (exact, low):
        terms = run_steps(state, batches, 3)
        assert all(torch.isfinite(v) for v in terms.values())
    assert low.scaler.is_enabled() == (precision == "float16")
    for a, b in zip(exact.model.parameters(), low.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=0.05)
    assert not same_weights(exact.model, low.model)


def test_stages_grow_planes_and_pictures(spheres):
    config = dataclasses.replace(SMOKE, stages=(Stage(0, planes=4, pixels=8), Stage(10, planes=8)))
    assert [config.stage(s).planes for s in (0, 9, 10, 50)] == [4, 4, 8, 8]
    objective = Objective(families.build(NETWORK), config)
    (batch,) = next(batches_of(spheres).steps(0))
    full, coarse = (objective.planes(batch.image, s) for s in (Stage(), config.stage(0)))
    assert full.shape[-1] == 8 and coarse.shape[-1] == 4
    assert torch.allclose(coarse[0, 0, 0, 0, 0], full[0, 0, 0, :2, :2].mean(), atol=1e-6)
    assert set(objective(batch, config.stage(0), 1)) == {
        "rgb",
        "mask",
        "depth",
        "silhouette",
        "solid",
        "color",
        "haze",
        "loss",
    }


def test_perceptual_term_pulls_a_picture_towards_the_truth(spheres):
    from models.training.perceptual import PerceptualDistance

    distance = PerceptualDistance()
    truth = spheres.object(0).rgba(0)[..., :3].permute(2, 0, 1)[None]
    noisy = (truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert distance(truth, truth) == 0 < distance(noisy, truth) < distance(1 - truth, truth)
    config = dataclasses.replace(SMOKE, lambda_perceptual=0.1, patch=16)
    state = new_state(config)
    terms = run_steps(state, batches_of(spheres, config), 1)
    assert 0 < terms["perceptual"] < 4 and not distance.train().network.training


def test_a_share_of_the_batch_is_made_up(spheres):
    """Packed and procedural pictures of one size in one batch, the same whenever they are drawn."""
    config = dataclasses.replace(SMOKE, batch=3, procedural=0.34, steps=1)
    made = ProceduralObjects(0, size=32)
    first, again = (next(Batches(spheres, made, config, (32, 0.85)).steps(0))[0] for _ in range(2))
    alone = next(Batches(None, made, dataclasses.replace(config, procedural=1.0), (32, 0.85)).steps(0))[0]
    assert first.image.shape == alone.image.shape == (3, 3, 32, 32)
    assert torch.equal(first.rgba, again.rgba) and torch.equal(first.points.solid, again.points.solid)
    assert 0.02 < alone.points.solid.mean() < 0.9
    run_steps(new_state(config), Batches(spheres, made, config, (32, 0.85)), 1)
    with pytest.raises(
        ValueError, match=r"a source of procedural objects for a batch of packed 2, morphs 0, procedural 1"
    ):
        Batches(spheres, None, config, (32, 0.85))
    with pytest.raises(ValueError, match=r"pictures of one size.*packed.*32.*procedural.*16"):
        Batches(spheres, ProceduralObjects(0, size=16), config, (32, 0.85))


def test_a_share_of_the_batch_are_morphs(spheres):
    """They come behind the objects as they are, which stay the same ones; a source for them must be there."""
    config = dataclasses.replace(SMOKE, batch=4, morphs=0.5)
    mixed = next(batches_of(spheres, config, morphs=spheres).steps(0))[0]
    plain = next(batches_of(spheres, dataclasses.replace(config, batch=2, morphs=0.0)).steps(0))[0]
    assert len(mixed.image) == 4 and torch.equal(mixed.image[:2], plain.image)
    with pytest.raises(ValueError, match="a source of morphs objects for a batch of packed 2, morphs 2"):
        batches_of(spheres, config)


def test_begins_with_the_weights_of_a_checkpoint(spheres, tmp_path):
    state = new_state()
    run_steps(state, batches_of(spheres), 1)
    checkpoint.save(state.model, tmp_path)
    begun = train.make_state(NETWORK, SMOKE, tmp_path, torch.device("cpu"), Share())
    assert (
        begun.step == 0
        and same_weights(begun.model, state.model)
        and same_weights(begun.average, state.model)
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"stepz": 3}, r"train: unknown option.*stepz.*it has.*steps"),
        ({"augment": {"flip": 1}}, r"augment: unknown option.*flip.*mirror"),
        ({"stages": [{"step": 5}]}, r"stages: expected growing steps from 0, got \[5\]"),
        ({"precision": "half"}, r"precision: expected one of float32.*'half'"),
        ({"optimizer": "sgd"}, r"optimizer: expected one of adamw, muon, got 'sgd'"),
        ({"procedural": 2}, r"procedural, morphs: expected shares"),
        ({"procedural": 0.6, "morphs": 0.6}, r"together 1 at most, got 0\.6, 0\.6"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_json(options)


def test_tensorboard_is_asked_for_by_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SystemExit, match="pip install tensorboard"):
        Journal(tmp_path, new_state(), tensorboard=True)


@pytest.mark.parametrize("file", sorted(SMOKE_FILE.parent.glob("*.json")), ids=lambda f: f.stem)
def test_every_configuration_builds(file):
    network, config = read_config(file)
    assert families.build(network).config.image_size and config.steps > 0


def test_missing_renders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected packed renders.*models\.data\.pack"):
        PackedRenders(tmp_path)
