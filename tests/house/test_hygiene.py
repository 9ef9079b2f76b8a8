"""What comes in over the network, what a run says of the machine, and what is promised of versions."""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import commands
import numpy as np
import pyro
import pytest
import torch
from damage import edited

import pyrovae
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import SOURCES, load
from pyrovae.errors import PyrovaeError, UsageError

ROOT = Path(__file__).parents[2]

DOWNLOADED = [name for name in SOURCES if name not in ("digits", "pydoc")]


class Answer(io.BytesIO):
    """What a server sends."""

    url = "https://example.org/file"
    length = 0

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.headers: dict[str, str] = {}


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Every request gets `content`; gives the list of what is asked for."""
    asked: list[str] = []

    def urlopen(request: Any, *_: Any, **__: Any) -> Answer:
        asked.append(request.full_url)
        answer = Answer(content)
        answer.url = request.full_url
        return answer

    def download(id: str, output: str, **_: Any) -> None:
        asked.append(id)
        Path(output).write_bytes(content)

    drive = ModuleType("gdown")
    drive.download = download  # type: ignore[attr-defined]
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setitem(sys.modules, "gdown", drive)
    return asked


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_download_with_other_bytes_is_refused_and_nothing_is_left(name, tmp_path, monkeypatch):
    asked = serve(monkeypatch, b"0 1 0 1\n" * 9)
    root = tmp_path / "deep" / "data"
    with pytest.raises(PyrovaeError, match=f"(?i){name}.* cannot be downloaded into .*data"):
        load(name, DataConfig(data_root=root, download=True))
    assert asked
    assert list(tmp_path.iterdir()) == []


def test_a_download_with_the_right_bytes_is_kept_and_read_without_another(tmp_path, monkeypatch):
    content = b"0 1 0 1\n" * 9
    monkeypatch.setattr(
        "pyrovae.data.readers.amat.MD5", dict.fromkeys(("train", "valid", "test"), hashlib.md5(content).hexdigest())
    )
    asked = serve(monkeypatch, content)
    for _ in range(2):
        assert load("static-mnist", DataConfig(data_root=tmp_path, download=True)).size("train") == 9
    assert len(set(asked)) == 3
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(found) == [f"binarized_mnist/binarized_mnist_{split}.amat" for split in ("test", "train", "valid")]


def test_a_download_that_stops_leaves_what_was_there(tmp_path, monkeypatch):
    asked = serve(monkeypatch, b"")
    (tmp_path / "mine").write_text("kept")

    def broken(request: Any, *_: Any, **__: Any) -> Answer:
        asked.append(request.full_url)
        if len(asked) > 2:
            raise KeyboardInterrupt
        return Answer(b"part of it")

    monkeypatch.setattr(urllib.request, "urlopen", broken)
    with pytest.raises((KeyboardInterrupt, PyrovaeError)):
        load("mnist", DataConfig(data_root=tmp_path, download=True))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


SCRIPT = """
import os, platform, socket

def refuse(*arguments, **options):
    raise AssertionError(f"the network was asked for: {arguments}")

for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
socket.gethostname = platform.node = lambda: "tellinghost"
os.uname = lambda found=os.uname(): os.uname_result((found[0], "tellinghost", *found[2:]))

import pyrovae
from pyrovae.cli import cli
tiny = "--data vectors.npy --epochs 1 --score-samples 2"
for words in (
    "models",
    "data",
    "fit --help",
    f"fit --model vae {tiny} --latent-dim 2 --hidden 4 --guide iaf:steps=1:hidden=4 --out runs/vae",
    f"fit --model my_model.py:MyVAE {tiny} --out runs/own",
    "fit --model textvae --epochs 1 --hidden 8 --embedding 4 --limit-train 100 --score-samples 2 --score-limit 50"
    " --out runs/text",
    "fit --model vae --epochs 1 --hidden 8 --latent-dim 2 --score-samples 2 --out runs/digits",
    "loglik runs/vae --samples 3 --json --out runs/scores.npz",
    "loglik runs/own --samples 3 --trust",
    "evaluate runs/vae --samples 3 --json",
    "encode runs/vae --out runs/codes.npz --picture runs/codes.png",
    "sample runs/digits --out runs/samples.png",
    f"compare --model vae {tiny} --guides diagonal,full --latent-dim 2 --hidden 4 --out runs/compared",
):
    cli(words.split(), standalone_mode=False)
print(pyrovae.load("runs/vae"))
"""


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All that commands write, where the network is out of reach and user, host and folders have telling names."""
    folder, home = tmp_path_factory.mktemp("tellingfolder"), tmp_path_factory.mktemp("tellinghome")
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32))
    (folder / "my_model.py").write_text(commands.OWN)
    own = {"HOME": str(home), "USER": "tellinguser", "LOGNAME": "tellinguser"}
    caches = {name: str(home / name) for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCH_HOME")}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **own, **caches}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
    written = {str(path.relative_to(folder / "runs")): path.read_bytes() for path in files}
    return {**written, "stdout": done.stdout.encode(), "stderr": done.stderr.encode()}


def test_nothing_asks_for_the_network(spoken):
    assert {"vae/run.json", "text/run.json", "scores.npz", "samples.png", "compared/compare.json"} <= set(spoken)


def test_nothing_is_said_of_who_made_a_run_and_where(spoken):
    for name, content in spoken.items():
        content = re.sub(rb"^--trust runs your own code, .*$", b"", content, flags=re.MULTILINE)  # shown on purpose
        assert (name, re.findall(rb"telling\w+", content)) == (name, [])
    recipe = json.loads(spoken["own/run.json"])["recipe"]
    assert (recipe["model"], recipe["data"]) == ("my_model.py:MyVAE", "vectors.npy")


@pytest.mark.parametrize("guide", ["{}:Family", "{}:Family:rank=2", "z={}:Family", "tellingmodule:Family"])
def test_a_run_executes_no_file_that_it_names_as_its_guide(guide, tmp_path, monkeypatch):
    small: dict[str, Any] = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "score_samples": 2, "show": False}
    pyrovae.fit("vae", "digits", out=tmp_path / "run", **small)
    code = (
        "from pathlib import Path\nPath('executed').touch()\nfrom pyrovae.guides.diagonal import Diagonal as Family\n"
    )
    (tmp_path / "tellingmodule.py").write_text(code)
    edited(tmp_path / "run", lambda content: content["recipe"].update(guide=guide.format("tellingmodule.py")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"your own code, tellingmodule.*trust=True"):
        pyrovae.load("run")
    assert not Path("executed").exists()
    if "rank" not in guide:
        assert pyrovae.load("run", trust=True).split("test", 1)
        assert Path("executed").exists()
    sys.modules.pop("tellingmodule", None)


def test_the_version_of_what_matters_is_told_without_loading_it():
    script = """
import sys
from pyrovae.cli import cli
cli(["--version"], standalone_mode=False)
assert not {"torch", "pyro", "numpy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    numbers = (pyrovae.__version__, torch.__version__, pyro.__version__, platform.python_version())
    # A torch that was built for one kind of device says so after a +, which its metadata may lack.
    expected = "pyrovae {}, torch {}, pyro {}, Python {}".format(*(each.partition("+")[0] for each in numbers))
    assert re.sub(r"\+\w+", "", done.stdout.strip()) == expected


def test_the_lowest_versions_are_those_of_pyproject():
    """Which .ci/oldest installs."""
    found = subprocess.run([sys.executable, ROOT / ".ci" / "lowest"], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["test"]
    assert found.stdout.split() == [each.replace(">=", "==") for each in asked]
