"""Things found by name that are not pyrovae's own: a file dropped into a room, and a package with an entry point."""

import importlib
import sys
from contextlib import contextmanager


@contextmanager
def dropped(room, folder, name, source):
    """Inside, `folder` stands behind the files of a room and holds `name.py`, and a helper that is not to be listed."""
    (folder / f"{name}.py").write_text(source)
    (folder / "helper.py").write_text('"""Nothing of this kind."""\n\n\nclass Other: ...\n')
    room.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        room.__path__.remove(str(folder))
        sys.modules.pop(f"{room.__name__}.{name}", None)
        vars(room).pop(name, None)


@contextmanager
def packaged(room, folder, name, target, source, monkeypatch):
    """Inside, a package is installed as by pip, whose entry point `name` is `target`, a class of its one module."""
    module = f"a_package_with_{name}"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{room.__name__}]\n{name} = {module}:{target}\n")
    monkeypatch.syspath_prepend(folder)
    try:
        yield
    finally:
        sys.modules.pop(module, None)
