"""Laws over generated input: what files load to, what becomes of options, and command lines without a traceback."""

import gzip
import json
import string
import struct
import tomllib
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from unittest import mock

import click
import hypothesis
import numpy as np
import pytest
import torch
from commands import run, the_error
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import pyrovae
import pyrovae.cli
from pyrovae import UsageError, config, registry
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.options import TrainConfig
from pyrovae.runs import directory, pictures
from pyrovae.runs.claim import require_free
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.run import Run
from pyrovae.runtime import devices

hypothesis.settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("ci")

SPLITS = ("train", "valid", "test")


def columns(dataset, name="x"):
    return {split: dataset.columns[split][name] for split in SPLITS}


def everything(column):
    return torch.cat([column[split][:] for split in SPLITS]).double().numpy()


def same_rows(found, wanted):
    """Whether two arrays hold the same rows, in any order."""
    wanted = wanted.reshape(len(wanted), -1)
    found = found.reshape(len(found), -1)
    return np.array_equal(found[np.lexsort(found.T)], wanted[np.lexsort(wanted.T)])


def one_sentence(error, says=""):
    """Asserts what every refusal owes."""
    assert says in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 2000


# ---- data load to exactly what was written

NUMBERS = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
)
SHAPES = st.one_of(
    st.tuples(st.integers(3, 12)),
    st.tuples(st.integers(3, 12), st.integers(1, 5)),
    st.tuples(st.integers(3, 12), st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(3, 12), st.sampled_from([1, 3]), st.integers(1, 4), st.integers(4, 5)),
    st.tuples(st.integers(3, 12), st.integers(4, 5), st.integers(4, 5), st.sampled_from([1, 3])),
)


def elements(dtype):
    """Numbers that float32 holds exactly, whatever the type on the disk."""
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        finite = arrays.from_dtype(dtype, allow_nan=False, allow_infinity=False, allow_subnormal=False)
        return finite.map(lambda value: value if abs(float(value)) < 1e30 else dtype.type(1))
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return st.integers(max(low, -(2**24)), min(high, 2**24))


@st.composite
def some_numbers(draw):
    dtype = draw(NUMBERS)
    found = draw(arrays.arrays(dtype, draw(SHAPES), elements=elements(dtype)))
    return np.asfortranarray(found) if draw(st.booleans()) else found


def as_read(array):
    """What a reader makes of an array, by another route: float32, vectors (N, D), images (N, C, H, W)."""
    found = array.astype(np.float32).astype(np.float64)
    if found.ndim == 4 and found.shape[1] not in (1, 3):
        return np.moveaxis(found, 3, 1)
    return found[:, None] if found.ndim in (1, 3) else found


@given(array=some_numbers(), stream=st.booleans())
def test_npy_files_load_to_what_was_written(tmp_path_factory, array, stream):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, array)
    dataset = load(path, DataConfig(stream=stream))
    assert same_rows(everything(columns(dataset)), as_read(array))
    assert dataset.fields["x"].shape == as_read(array).shape[1:]


@given(array=some_numbers(), packed=st.booleans(), y=st.booleans())
def test_npz_files_and_tensors_load_to_what_was_written(tmp_path_factory, array, packed, y):
    path, third = tmp_path_factory.mktemp("npz") / "a.npz", len(array) // 3
    labels = np.arange(len(array)) % 3
    cuts = {"train": slice(0, third), "valid": slice(third, 2 * third), "test": slice(2 * third, None)}
    fields = {"x": array, "y": labels} if y else {"x": array}
    content = {f"{name}_{split}": field[cut] for name, field in fields.items() for split, cut in cuts.items()}
    (np.savez_compressed if packed else np.savez)(path, **content)
    tensors = {
        split: {name: torch.from_numpy(_plain(f[cut])) for name, f in fields.items()} for split, cut in cuts.items()
    }
    for spec in (path, tensors):
        dataset = load(spec)
        assert np.array_equal(everything(columns(dataset)), as_read(array))  # in order: nothing was cut
        if y:
            assert everything(columns(dataset, "y")).tolist() == labels.tolist()


def _plain(array):
    """As torch takes it: this machine's byte order, float64 for what is longer."""
    array = array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


@given(
    images=arrays.arrays(np.uint8, st.tuples(st.integers(3, 9), st.integers(1, 5), st.integers(1, 5))),
    pack=st.booleans(),
    data=st.data(),
)
def test_idx_files_load_to_what_was_written(tmp_path_factory, images, pack, data):
    root = tmp_path_factory.mktemp("idx")
    y = data.draw(arrays.arrays(np.uint8, len(images), elements=st.integers(0, 9)))
    (root / "MNIST").mkdir()
    for stem in ("train", "t10k"):
        for part, array in (("images-idx3", images), ("labels-idx1", y)):
            content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
            name = f"{stem}-{part}-ubyte" + (".gz" if pack else "")
            (root / "MNIST" / name).write_bytes(gzip.compress(content, 1) if pack else content)
    dataset = load("mnist", DataConfig(data_root=root, binarize="none"))
    assert np.array_equal(dataset.columns["test"]["x"].numpy(), images[:, None])
    assert np.array_equal(dataset.columns["test"]["y"].numpy(), y)
    train = torch.cat([dataset.columns[split]["x"] for split in ("train", "valid")]).numpy()
    assert same_rows(train, images)


@given(
    rows=arrays.arrays(np.float32, st.tuples(st.integers(3, 9), st.integers(1, 6)), elements=elements(np.dtype("f4"))),
    bits=st.booleans(),
    gap=st.sampled_from([" ", "  ", "\t"]),
    end=st.sampled_from(["\n", "\r\n", " \n", "\n\n"]),
    last=st.booleans(),
)
def test_amat_files_load_to_what_was_written(tmp_path_factory, rows, bits, gap, end, last):
    path = tmp_path_factory.mktemp("amat") / "a.amat"
    rows = (rows > 0).astype(np.float32) if bits else rows
    lines = [gap.join(f"{value:.0f}" if bits else repr(float(value)) for value in row) for row in rows]
    path.write_bytes((end.join(lines) + (end if last else "")).encode())
    assert same_rows(everything(columns(load(path))), rows.astype(np.float64))


WORDS = st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=6)


@given(
    splits=st.fixed_dictionaries(
        {s: st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=3, max_size=9) for s in SPLITS}
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    pack=st.booleans(),
)
def test_text_files_load_to_what_was_written(tmp_path_factory, splits, end, bom, pack):
    from tokenizers.normalizers import NFC

    folder = tmp_path_factory.mktemp("text")
    words = [word for lines in splits.values() for line in lines for word in line]
    splits["train"].append(words)  # so that every word is known
    for split, lines in splits.items():
        content = (b"\xef\xbb\xbf" if bom else b"") + end.join(" ".join(line) for line in lines).encode()
        (folder / f"{split}.txt{'.gz' if pack else ''}").write_bytes(gzip.compress(content, 1) if pack else content)
    dataset = load(folder, DataConfig(max_length=1000))
    for split, lines in splits.items():
        wanted = [NFC().normalize_str(" ".join(line)) for line in lines]
        assert dataset.vocabulary.decode(dataset.columns[split]["x"]) == wanted


@given(
    images=arrays.arrays(
        np.uint8, st.tuples(st.integers(3, 6), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))
    ),
    suffix=st.sampled_from([".png", ".bmp", ".tif", ".ppm", ".webp"]),
    stream=st.booleans(),
)
def test_images_load_to_what_was_written(tmp_path_factory, images, suffix, stream):
    folder = tmp_path_factory.mktemp("images")
    if images.shape[3] == 1 and suffix == ".webp":
        suffix = ".png"  # the format has no gray
    for split in SPLITS:
        (folder / split).mkdir()
        for i, image in enumerate(images):
            options = {"lossless": True} if suffix == ".webp" else {}
            Image.fromarray(image.squeeze(2) if images.shape[3] == 1 else image).save(
                folder / split / f"{i}{suffix}", **options
            )
    dataset = load(folder, DataConfig(stream=stream))
    for split in SPLITS:
        found = dataset.columns[split]["x"][:].numpy()
        assert np.array_equal(found, np.moveaxis(images, 3, 1))


# ---- options

CONFIGS = {
    "training": TrainConfig,
    "data": DataConfig,
    **{name: registry.variant(name).config for name in registry.describe("models")},
    **{f"training of {name}": registry.variant(name).training for name in registry.describe("models")},
    **{f"guide {name}": registry.guide_config(name) for name in registry.describe("guides")},
}
ANY = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-3, 3),
        st.just(10**400),
        st.floats(),
        st.text(max_size=9),
        st.binary(max_size=3),
        st.dates(),
        st.just(Path("x")),
        st.just(object()),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


def bounded(info, convert, least, most):
    """The bounds of an option, those that it does not have replaced by ours."""
    found = {"ge": least, "le": most}
    for bound in info.metadata:
        for name in ("ge", "le", "gt", "lt"):
            if hasattr(bound, name):
                value = convert(getattr(bound, name))
                step = (
                    {"ge": 0, "le": 0, "gt": 1, "lt": -1}[name]
                    if convert is int
                    else {"gt": 1e-6, "lt": -1e-6}.get(name, 0)
                )
                key = "ge" if name in ("ge", "gt") else "le"
                found[key] = max(found[key], value + step) if key == "ge" else min(found[key], value + step)
    return found["ge"], found["le"]


def values_of(annotation, info):
    """Values of an option that fit, by its type and bounds."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is Annotated:
        return values_of(args[0], args[1])
    if origin in (Union, types.UnionType):
        return st.one_of(*(values_of(member, info) for member in args))
    if origin in (tuple, list):
        length = len(args) if origin is tuple and args[-1] is not Ellipsis else None
        return st.lists(values_of(args[0], info), min_size=length or 1, max_size=length or 3)
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(*bounded(info, int, 1, 10**6))
    if annotation is float:
        return st.floats(*bounded(info, float, 1e-3, 1e3))
    if annotation is Path:
        return st.just("some/where")
    assert annotation is str, annotation
    for mark in getattr(info, "metadata", ()):
        if isinstance(mark, config.Named):
            return st.sampled_from(sorted(registry.describe(mark.kind)))
    return st.sampled_from(["cpu", "auto"])


@st.composite
def good(draw, kind):
    """Some options of a Config, with values that fit."""
    fields = CONFIGS[kind].model_fields
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=6, unique=True)) if fields else []
    return {name: draw(values_of(fields[name].annotation, fields[name])) for name in chosen}


def to_toml(values):
    """These options as a config file has them."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def made(kind, values):
    """The Config, or None where it refuses values that fit one by one (a held-out share of 2.5)."""
    try:
        return config.parse(CONFIGS[kind], values, kind)
    except UsageError:
        return None


@pytest.mark.parametrize("kind", CONFIGS)
@hypothesis.settings(max_examples=20)
@given(data=st.data())
def test_options_survive_toml_and_json(tmp_path_factory, kind, data):
    values = data.draw(good(kind))
    values = {name: value for name, value in values.items() if value is not None}  # TOML has no null
    found = made(kind, values)
    if found is None:
        assert set(values) & {"held_out", "checkpoint_every"}, values  # these have laws of their own
        return
    path = tmp_path_factory.mktemp("toml") / "c.toml"
    path.write_text(to_toml(values))
    from_toml = config.parse(CONFIGS[kind], config.read_toml(path), kind)
    assert from_toml == found
    written = json.loads(json.dumps(from_toml.model_dump(mode="json"), allow_nan=False))
    assert config.parse(CONFIGS[kind], written, kind) == found


@pytest.mark.parametrize("kind", CONFIGS)
@hypothesis.settings(max_examples=30)
@given(data=st.data())
def test_options_of_any_type_are_taken_or_refused(kind, data):
    names = [*CONFIGS[kind].model_fields, "a", ""]
    values = data.draw(st.dictionaries(st.one_of(st.sampled_from(names), st.text(max_size=5)), ANY, max_size=3))
    try:
        found = config.parse(CONFIGS[kind], values, kind)
    except UsageError as error:
        one_sentence(error)
    else:
        json.dumps(found.model_dump(mode="json"), allow_nan=False)


@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_config_files_of_any_text_are_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("toml") / "c.toml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        assert config.read_toml(path) == tomllib.loads(text)
    except UsageError as error:
        one_sentence(error, "c.toml is no TOML")


GUIDES = st.text(string.ascii_lowercase + ":=,.0123456789_", max_size=30)
SPECS = st.builds(
    lambda name, parts: ":".join([name, *parts]),
    st.sampled_from(["iaf", "full", "mixture", "z=iaf", "iaf,full", "lowrank", ""]),
    st.lists(
        st.sampled_from(["steps=2", "steps=0", "hidden=x", "rank=3", "steps", "=", "steps=", "components=1e9"]),
        max_size=3,
    ),
)


@given(spec=st.one_of(GUIDES, SPECS))
def test_specs_of_guides_are_taken_or_refused(spec):
    try:
        registry.family(spec)
    except UsageError as error:
        one_sentence(error)


# ---- command lines, with stand-ins for the library


def a_gap():
    """What `run.gap` gives, as far as the command reads it; a real one is refitted for seconds."""
    names = ("log_likelihood", "best", "elbo", "approximation", "amortization", "inference")
    summary = {name: {"mean": 1.0, "standard_error": None} for name in names}
    found = mock.Mock(method="is")
    found.summary.return_value = {**summary, "by_method": {"is": 1.0}, "num_data": 3, "verdict": "good"}
    return found


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A folder with a run in it, and what every verb of the library gives, taken from one real call."""
    folder = tmp_path_factory.mktemp("lines")
    tiny = {
        "epochs": 1,
        "hidden": (4,),
        "latent_dim": 2,
        "score_samples": 2,
        "device": "cpu",
        "compile": False,
        "show": False,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "notes").mkdir()
        (folder / "file").write_text("x")
        (folder / "c.toml").write_text('model = "vae"\nepochs = 1\n')
        np.save("x.npy", (np.random.default_rng(0).random((30, 4, 4)) > 0.5).astype(np.uint8))
        patch.setattr(pictures, "pictures", lambda run, folder: None)
        found = pyrovae.fit("vae", data="x.npy", out="run", **tiny)
        compared = pyrovae.compare("vae", guides=("diagonal",), data="x.npy", out="compared", **tiny)
        give = {
            "log_likelihood": found.log_likelihood(2, limit=3, compile=False),
            "ais": found.ais(1, 2, limit=3, compile=False),
            "bdmc": found.bdmc(1, 2, limit=3, compile=False),
            "gap": a_gap(),
            "evaluate": found.evaluate(2),
            "encode": found.encode(limit=3),
            "sample": found.sample(2),
            "reconstruct": found.reconstruct(2),
            "interpolate": found.interpolate(1, 2),
        }
    return folder, found, compared, give


@pytest.fixture
def lines(stand_ins, monkeypatch):
    """The library is a stand-in: signatures, names and options are real, the work is not done."""
    folder, found, compared, give = stand_ins
    monkeypatch.chdir(folder)
    for name, value in give.items():
        monkeypatch.setattr(Run, name, mock.create_autospec(getattr(Run, name), return_value=value))
    for name in ("samples", "reconstructions", "interpolation", "latents", "worst"):
        told = mock.create_autospec(getattr(pictures, name), side_effect=lambda run, out, *args: out)
        monkeypatch.setattr(pictures, name, told)
    real = pyrovae.runs.loading.load

    def loaded(path, device="auto", trust=False):
        devices.find(device)
        return found if Path(path) == Path("run") else real(path, device=device, trust=trust)

    def recipe(model, guide, data, settings):
        made = Recipe.of(registry.variant(model), guide, data, settings)
        devices.find(made.training.device)

    def fit(
        model=None, data=None, guide=None, out=None, overwrite=False, show=None, source=None, trust=False, resume=None,
        **settings,
    ):  # fmt: skip
        if resume is not None and not (resume / directory.RUN).is_file():
            raise directory.no_run(resume)
        recipe(model or "vae", guide, data, settings)
        if resume is None:
            require_free(out, overwrite)
        return found

    def compare(model, guides, seeds, data, out, overwrite, show, freeze_model, baseline, gaps, **settings):
        for guide in guides:
            recipe(model or "vae", guide, data, settings)
        if out.is_absolute() or ".." in out.parts:
            raise UsageError("this test writes nowhere else")
        out.mkdir(parents=True, exist_ok=True)
        return compared

    monkeypatch.setattr("pyrovae.runs.loading.load", loaded)
    monkeypatch.setattr("pyrovae.training.freezing.source_of", lambda path, trust: loaded(path, trust=trust))
    monkeypatch.setattr("pyrovae.training.fit.fit", fit)
    monkeypatch.setattr("pyrovae.comparison.compare", compare)
    monkeypatch.setattr("pyrovae.testing.selftest.selftest", lambda device: [devices.find(device)][1:])
    monkeypatch.setattr(Recipe, "build", lambda self, variant, fields: found.pair)
    monkeypatch.setattr("pyrovae.testing.check", lambda make, batch, fields: [mock.Mock(passed=True, detail="")])
    monkeypatch.setattr("pyrovae.testing.sites_table", lambda pair, batch: [])
    monkeypatch.setattr("pyrovae.storage.atomic.write_arrays", lambda path, arrays: None)


ODD = st.one_of(
    st.sampled_from(
        ["", "-1", "0", "1", "2", "3", "0.5", "1e9", "1e400", "nan", "inf", "-inf", "9" * 30, "9" * 400, "x", "run"]
    ),
    st.sampled_from(
        ["nowhere", "file", "notes", "c.toml", "a.npz", "a.png", "no/a.npz", ".", "..", "/", "/dev/null", "~", "run/"]
    ),
    st.sampled_from(
        [
            "digits",
            "x.npy",
            "mnist",
            "vae",
            "cvae",
            "iaf:steps=2",
            "diagonal,full",
            "y=3",
            "z=0.5,1",
            "auto",
            "cpu",
            "cuda:9",
        ]
    ),
    st.sampled_from(
        ["1,2", ",", "a.py:B", "os:path", "é", "日本", "\udcff", "a\nb", "--", "-", "-h", "%s", "{}", "x" * 5000]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)


METHODS = ("is", "ais", "bdmc")


def params(name, model):
    """The options of a command, those of a model among them."""
    command = pyrovae.cli.cli.get_command(click.Context(pyrovae.cli.cli), name)
    found = list(command.params)
    if hasattr(command, "configs"):
        found += [option for group in command._groups(model) for option in group[1]]
    elif hasattr(command, "option_groups"):
        found += [
            option for method in METHODS for options in command.option_groups(method).values() for option in options
        ]
    return [
        param
        for param in found
        if isinstance(param, click.Option) and param.name != "debug" and "--debug" not in param.opts
    ]


@st.composite
def command_lines(draw, name):
    model = draw(st.sampled_from(["vae", "cvae", "iaf", "textvae"]))
    line = [name]
    if name in ("fit", "compare"):
        line += draw(
            st.sampled_from([["--model", model], ["--model", model, "--data", "x.npy"], ["--config", "c.toml"], []])
        )
        line += draw(st.sampled_from([["--guides", "diagonal"], []])) if name == "compare" else []
    elif name == "check":
        line.append(model)
    elif name not in ("models", "guides", "data", "selftest"):
        line.append(draw(st.sampled_from(["run", "run", "run", "run", "nowhere", "notes", "file", "x" * 300])))
    known = params(name, model)
    for _ in range(draw(st.integers(0, 4))):
        param = draw(st.sampled_from(known))
        option = draw(st.sampled_from([*param.opts, *param.secondary_opts]))
        if param.is_flag:
            line.append(option)
        elif isinstance(param.type, click.Choice) and draw(st.booleans()):
            line += [option, draw(st.sampled_from(list(param.type.choices)))]
        else:
            good = draw(st.booleans()) and isinstance(param.type, click.types.IntParamType | click.types.FloatParamType)
            line += [option, draw(st.sampled_from(["1", "2", "3"]) if good else ODD)]
    if draw(st.integers(0, 9)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(st.one_of(ODD, st.just("--nothing"))))
    return line


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("name", pyrovae.cli.cli.files())
@hypothesis.settings(max_examples=20)
@given(data=st.data())
def test_no_command_line_shows_a_traceback(name, data):
    line = data.draw(command_lines(name))
    result = run(*line)
    assert result.exit_code in (0, 1, 2), (line, result.output)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output, line
    assert "--debug to see where" not in result.output, (line, result.output)
    if result.exit_code:
        the_error(result.stderr)
        assert result.stdout == ""


@pytest.mark.usefixtures("lines")
def test_the_stand_ins_let_good_lines_through():
    for line in (
        ("fit", "--model", "vae", "--hidden", "4"),
        ("compare", "--model", "vae", "--guides", "diagonal"),
        ("loglik", "run", "--samples", "3"),
        ("loglik", "run", "--method", "ais"),
        ("loglik", "run", "--method", "bdmc"),
        ("gap", "run"),
        ("evaluate", "run"),
        ("sample", "run"),
        ("reconstruct", "run"),
        ("interpolate", "run"),
        ("encode", "run"),
        ("check", "vae"),
        ("selftest",),
    ):
        result = run(*line)
        assert result.exit_code == 0, (line, result.output)


TRIED = {
    "guide": ["diagonal", "full", "iaf:steps=2:hidden=4", "lowrank:rank=99", "planar:steps=1", "mixture:components=1"],
    "objective": ["elbo", "stl", "iwae", "dreg", "renyi"],
    "alpha": ["0", "1", "-1e6", "0.5"],
    "schedule": ["constant", "cosine", "linear", "iwae"],
    "optimizer": ["adam", "adamw", "adamax", "rmsprop"],
    "momentum": ["0", "0.9"],
    "activation": ["elu", "gated"],
    "prior": ["standard", "vamp", "flow"],
    "pseudo-inputs": ["1", "3"],
    "prior-steps": ["1", "3"],
    "kl": ["sampled", "analytic"],
    "lr": ["1e-300", "0.1", "1e30", "1e300"],
    "clip": ["1e-300", "1", "1e300"],
    "beta": ["0", "1e300"],
    "adam-eps": ["1e-300", "1e300"],
    "weight-decay": ["1e300", "0.1"],
    "kl-warmup": ["1e-300", "1e300", "2"],
    "kl-cycles": ["1", "1000000000"],
    "free-bits": ["1e300", "0.5"],
    "particles": ["1", "3"],
    "batch-size": ["1", "2", "7", "31", "1000000000"],
    "patience": ["1", "1000000000"],
    "held-out": ["1", "0.3", "14"],
    "limit-train": ["1", "2"],
    "likelihood": ["normal", "bernoulli", "bce"],
    "scale": ["learned", "fixed", "pixel"],
    "sigma": ["1e-300", "1e6"],
    "latent-dim": ["1", "3"],
    "hidden": ["1", "3,1"],
}


@pytest.mark.usefixtures("stand_ins")
@hypothesis.settings(max_examples=8, phases=[hypothesis.Phase.generate])
@given(
    options=st.dictionaries(st.sampled_from(sorted(TRIED)), st.integers(0, 5), min_size=1, max_size=5),
    seed=st.integers(0, 9),
)
def test_fits_with_extreme_options_end_with_a_run_or_a_sentence(tmp_path_factory, options, seed):
    folder = tmp_path_factory.mktemp("fits")
    np.save(folder / "v.npy", np.random.default_rng(seed).normal(size=(30, 3)).astype(np.float32))
    given_options = [text for name, i in options.items() for text in (f"--{name}", TRIED[name][i % len(TRIED[name])])]
    tiny = ("--epochs", "2", "--score-samples", "2", "--device", "cpu", "--no-compile", "--quiet", "--json")
    result = run("fit", "--model", "vae", "--data", folder / "v.npy", "--out", folder / "run", *tiny, *given_options)
    assert result.exit_code in (0, 1, 2), (given_options, result.output)
    assert "--debug to see where" not in result.output, (given_options, result.output)
    if result.exit_code == 0:
        found = pyrovae.load(folder / "run")
        assert json.loads(result.stdout)["test_elbo"] == found.results["test_elbo"]
        assert all(parameter.isfinite().all() for parameter in found.pair.parameters())
    else:
        the_error(result.stderr.replace("note: ", ""))
        assert [path.name for path in folder.iterdir()] == ["v.npy"]
