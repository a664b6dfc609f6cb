"""Checkpoints of any family from folders and the hub's cache; what is wrong is said at once and whole."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import models
from models import checkpoint
from models.readers import CheckpointError, ReadOptions, openlrm, triposr
from models.readers.triposr import resolve_references
from tests.models import golden
from tests.models.test_networks import small_lrm

NAMES = ("triposr", "triposr-mini", "openlrm-small", "openlrm-base", "openlrm-mini")


@pytest.fixture
def tripo(tmp_path) -> Path:
    return golden.write_checkpoint("triposr-mini", tmp_path / "tripo")


@pytest.fixture
def open_lrm(tmp_path) -> Path:
    return golden.write_checkpoint("openlrm-mini", tmp_path / "open")


def rewrite_config(folder: Path, change) -> None:
    path = folder / ("config.yaml" if (folder / "config.yaml").exists() else "config.json")
    config = yaml.safe_load(path.read_text())  # JSON is YAML
    change(config)
    path.write_text(json.dumps(config))


def edit_tensors(folder: Path, change) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_key_has_a_place_and_comes_back(name):
    about = golden.describe(name)
    keys = triposr.KEYS if about["format"] == "triposr" else openlrm.KEYS
    unknown = [k for k in about["keys"] if keys.own(k) is None]
    assert all("pooler" in k for k in unknown) and len(unknown) <= 2
    assert all(keys.public(keys.own(k)) == k for k in about["keys"] if k not in unknown)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_key_and_shape_fits_the_network(name, tmp_path, monkeypatch):
    """On the meta device: the full sizes in no time and no memory."""
    about = golden.describe(name)
    tensors = {k: torch.zeros((), device="meta").expand(s) for k, s in about["keys"].items()}
    monkeypatch.setattr("models.readers.read_tensors", lambda path: tensors)
    suffix, weights = (
        ("yaml", "model.ckpt") if about["format"] == "triposr" else ("json", "model.safetensors")
    )
    (tmp_path / f"config.{suffix}").write_text(json.dumps(about["config"]))
    (tmp_path / weights).touch()
    network = models.load(tmp_path)
    assert network.family == about["format"]
    pooler = sum(torch.Size(s).numel() for k, s in about["keys"].items() if "pooler" in k)
    assert sum(p.numel() for p in network.parameters()) == about["parameters"] - pooler


def test_weights_stay_mapped(tripo):
    """The network's weights lie in the mapping of the file, not in copies."""
    network = models.load(tripo)
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    ranges = [line[0].split("-") for line in lines if line[-1].endswith("tripo/model.ckpt")]
    mapped = [(int(low, 16), int(high, 16)) for low, high in ranges]
    assert all(any(low <= p.data_ptr() < high for low, high in mapped) for p in network.parameters())


def test_half_precision_weights_are_read_as_float32(open_lrm):
    edit_tensors(open_lrm, lambda t: t.update({k: v.half() for k, v in t.items()}))
    assert {p.dtype for p in models.load(open_lrm).parameters()} == {torch.float32}


def test_other_sizes_of_the_families(tmp_path):
    """Nothing is tied to the goldens' numbers: other depths, widths, planes, layers of the field."""
    from models.openlrm import OpenLRM, OpenLRMConfig
    from models.triposr import TripoSR, TripoSRConfig
    from models.vit import ViTConfig

    tripo = TripoSRConfig(
        image_size=64, width=96, heads=2, head_width=24, depth=3, plane_tokens=5, plane_channels=7,
        encoder=ViTConfig(64, 1, 1, 16, 48, 3.0, 1e-12, "q+k+v", "bicubic_offset"),
        field=triposr.replace(triposr.FIELD, radius=1.5, widths=(21, 10, 4), activation="relu"),
    )  # fmt: skip
    network = TripoSR(tripo).eval()
    tensors = {triposr.KEYS.public(k): v for k, v in network.state_dict().items()}
    config = golden.describe("triposr-mini")["config"] | {
        "cond_image_size": 64, "tokenizer": {"plane_size": 5, "num_channels": 96},
        "backbone": {"num_attention_heads": 2, "attention_head_dim": 24, "num_layers": 3},
        "post_processor": {"out_channels": 7},
        "decoder": {"in_channels": 21, "n_neurons": 10, "n_hidden_layers": 1, "activation": "relu"},
        "renderer": {
            "radius": 1.5, "feature_reduction": "concat", "density_activation": "exp",
            "density_bias": -1.0, "num_samples_per_ray": 128,
        },
    }  # fmt: skip
    check_other(tmp_path / "a", network, tensors, config, "config.yaml")

    lrm = OpenLRMConfig(
        image_size=56, width=48, depth=1, heads=3, camera_width=20, plane_tokens=4, plane_channels=5,
        encoder=openlrm.replace(
            openlrm.DINOV2, width=64, depth=3, heads=1, image_size=42, mlp_ratio=2.0, registers=2
        ),
        field=openlrm.replace(openlrm.FIELD, widths=(15, 9, 4)),
    )  # fmt: skip
    network = OpenLRM(lrm).eval()
    tensors = {openlrm.KEYS.public(k): v for k, v in network.state_dict().items()}
    config = golden.describe("openlrm-mini")["config"] | {
        "transformer_dim": 48, "transformer_layers": 1, "transformer_heads": 3, "camera_embed_dim": 20,
        "encoder_feat_dim": 64, "triplane_low_res": 4, "triplane_dim": 5, "rendering_samples_per_ray": 96,
    }  # fmt: skip
    check_other(tmp_path / "b", network, tensors, config, "config.json", ReadOptions(image_size=56))


def check_other(folder, network, tensors, config, name, options=None) -> None:
    folder.mkdir()
    (folder / name).write_text(json.dumps(config))
    if name == "config.yaml":
        torch.save({k: v.contiguous() for k, v in tensors.items()}, folder / "model.ckpt")
    else:
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    again = models.load(folder, options=options)
    assert again.config == network.config
    image = torch.rand(1, 3, network.config.image_size, network.config.image_size)
    with torch.no_grad():
        torch.testing.assert_close(again(image), network(image))


def test_own_checkpoints_and_their_errors(tmp_path):
    checkpoint.save(small_lrm(), tmp_path)
    assert models.load(tmp_path).family == "lrm"
    rewrite_config(tmp_path, lambda c: c.update(family="nerf"))
    with pytest.raises(CheckpointError, match="family: expected one of lrm"):
        models.load(tmp_path)


def test_everything_that_does_not_fit_is_listed_at_once(open_lrm):
    def change(tensors: dict) -> None:
        tensors.pop("transformer.layers.1.self_attn.in_proj_weight")
        tensors["upsampler.bias"] = torch.zeros(5)
        tensors["transformer.layers.0.extra"] = torch.zeros(2)

    edit_tensors(open_lrm, change)
    with pytest.raises(CheckpointError) as error:
        models.load(open_lrm)
    text = str(error.value)
    assert "missing transformer.layers.1.self_attn.in_proj_weight (192, 64)" in text
    assert "upsampler.bias: expected (8,), got (5,)" in text
    assert "unexpected transformer.layers.0.extra (2,)" in text


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("backbone.num_layers", 3, r"missing backbone\.transformer_blocks\.2"),
        ("tokenizer.plane_size", 9, r"tokenizer\.embeddings: expected \(3, 64, 9, 9\)"),
        ("renderer.density_activation", "cube", "density_activation: expected one of"),
        ("decoder.n_neurons", "many", "config.yaml: invalid literal"),
        ("renderer.radius", None, "renderer.radius is missing"),
    ],
)
def test_a_configuration_that_contradicts_the_weights(tripo, place, value, message):
    section, key = place.split(".")
    rewrite_config(tripo, lambda c: c[section].update({key: value}))
    with pytest.raises(CheckpointError, match=message):
        models.load(tripo)


def test_openlrm_configuration_errors(open_lrm):
    rewrite_config(open_lrm, lambda c: c.update(encoder_feat_dim=64))
    with pytest.raises(CheckpointError, match="encoder_feat_dim: its weights have 128, got 64"):
        models.load(open_lrm)
    rewrite_config(open_lrm, lambda c: c.update(encoder_type="dino"))
    with pytest.raises(CheckpointError, match="encoder_type: expected dinov2"):
        models.load(open_lrm)


def test_options_that_a_family_does_not_take(tripo, open_lrm, tmp_path):
    assert models.load(open_lrm, options=ReadOptions(224, 1.5)).config.camera_distance == 1.5
    assert models.load(tripo, options=ReadOptions(64)).config.image_size == 64
    with pytest.raises(CheckpointError, match="TripoSR takes no camera"):
        models.load(tripo, options=ReadOptions(camera_distance=1.5))
    checkpoint.save(small_lrm(), tmp_path / "own")
    with pytest.raises(CheckpointError, match=r"image_size: its config\.json says"):
        models.load(tmp_path / "own", options=ReadOptions(64))
    with pytest.raises(ValueError, match="camera_distance: expected a number above 0, got -1"):
        ReadOptions(camera_distance=-1)


def test_interpolations_of_the_yaml():
    values = {"a": {"x": "${b.y}", "z": 1}, "b": {"y": "${a.z}"}, "c": "${c}", "d": "${none.at}"}
    resolved = resolve_references(values)
    assert resolved["a"]["x"] == 1 and resolved["d"] is None and resolved["c"] == "${c}"


@pytest.mark.parametrize("keep", [0, 7, 1000, -100])
@pytest.mark.parametrize("kind", ["triposr-mini", "openlrm-mini"])
def test_files_cut_short(kind, keep, tmp_path):
    folder = golden.write_checkpoint(kind, tmp_path / "c")
    path = next(folder.glob("model.*"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="download it again"):
        models.load(folder)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("fired"),))


@pytest.mark.parametrize("write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_code_in_a_pickle_is_refused_and_not_run(write, tripo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write({"x": Bomb()}, tripo / "model.ckpt")
    with pytest.raises(CheckpointError, match=r"model\.ckpt: "):
        models.load(tripo)
    assert not Path("fired").exists()


def test_a_pickle_of_other_things_is_refused(tripo):
    for content, message in (([1, 2], "got list"), ({"state_dict": {}, "step": 3}, "got state_dict, step")):
        torch.save(content, tripo / "model.ckpt")
        with pytest.raises(CheckpointError, match=message):
            models.load(tripo)


def test_a_folder_of_no_family(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"expected a checkpoint of .*TripoSR.*; got keys such as conv"):
        models.load(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="expected keys and values, got list"):
        models.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        models.load(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"got model\.safetensors"):
        models.load(tmp_path)


def test_sources_that_are_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"someone/something: no such folder here, and it cannot"):
        models.load("someone/something")
    with pytest.raises(CheckpointError, match="no such folder; expected a folder or a hub id"):
        models.load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="a revision belongs to a hub id"):
        models.load(tmp_path, revision="main")


def test_a_cached_hub_id_and_its_revisions_load_offline(open_lrm, tmp_path, monkeypatch):
    """The layout of the hub's cache, two revisions of one repository, no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "models--me--lrm"
    for branch, commit, seed in (("main", "a" * 40, 0), ("old", "b" * 40, 1)):
        shutil.copytree(
            golden.write_checkpoint("openlrm-mini", tmp_path / branch, seed), cache / "snapshots" / commit
        )
        (cache / "refs").mkdir(exist_ok=True)
        (cache / "refs" / branch).write_text(commit)
    main, old = models.load("me/lrm"), models.load("me/lrm", revision="old")
    torch.testing.assert_close(main.tokens, models.load(open_lrm).tokens, rtol=0, atol=0)
    assert (main.tokens - old.tokens).abs().max() > 0.1


@pytest.mark.parametrize(
    ("width", "depth", "heads", "channels", "gigabytes"),
    [(512, 12, 8, 32, 0.446), (768, 12, 12, 48, 1.04), (1024, 16, 16, 80, 1.81)],
)
def test_openlrm_sizes_are_those_of_the_public_model_cards(width, depth, heads, channels, gigabytes):
    """small, base, large; no checkpoint of large is described by a golden."""
    from models.openlrm import OpenLRM, OpenLRMConfig

    encoder = openlrm.DINOV2
    if width == 512:
        encoder = openlrm.replace(encoder, width=384, heads=6)
    config = OpenLRMConfig(
        encoder=encoder, width=width, depth=depth, heads=heads, plane_channels=channels,
        field=openlrm.replace(openlrm.FIELD, widths=(3 * channels, 64, 64, 64, 4)),
    )  # fmt: skip
    with torch.device("meta"):
        network = OpenLRM(config)
    assert sum(p.nbytes for p in network.parameters()) / 1e9 == pytest.approx(gigabytes, rel=0.003)
