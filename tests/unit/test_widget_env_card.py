"""EnvCard's probes on machines that lack something: the card reports, and never raises."""

import sys
from types import SimpleNamespace

import pytest
from fresh import fresh

from flowedit.widgets import _probe
from flowedit.widgets.env_card import EnvCard

pytestmark = pytest.mark.usefixtures("own_figure_style")


def row(name: str) -> dict:
    return next(row for row in EnvCard().rows if row["name"] == name)


def test_a_missing_package_is_a_warning_only_where_it_is_needed(monkeypatch):
    monkeypatch.setattr(_probe, "version_of", lambda name: "")
    assert row("numpy")["state"] == "warn"
    assert row("torch")["state"] == "info"
    assert row("torch")["hint"] == "pip install torch"
    assert not EnvCard().ready


def test_looking_does_not_load_torch():
    """Catches a probe that costs a small machine most of its memory."""
    code = (
        "import sys\nfrom flowedit.widgets._probe import report\nrows = report()\n"
        "print(len(rows), any(n in sys.modules for n in ('torch', 'diffsynth', 'langgraph')))"
    )
    count, loaded = fresh(code)
    assert (int(count) > 10, loaded) == (True, "False")


def torch_that_sees(*, gpu):
    """A torch of which the cards read only whether and which GPU it sees."""
    properties = SimpleNamespace(total_memory=80 * 2**30)
    seen = {"get_device_name": lambda i: "NVIDIA H100", "get_device_properties": lambda i: properties}
    return SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: gpu, **seen))


@pytest.fixture
def driver(monkeypatch):
    """An NVIDIA driver that answers, on a computer where torch is not loaded; the fixture sets what its tool does."""

    def does(run):
        monkeypatch.setattr(_probe.subprocess, "run", lambda *args, **kwargs: run())

    monkeypatch.setattr(_probe.shutil, "which", lambda name: "/bin/nvidia-smi")
    does(lambda: _probe.subprocess.CompletedProcess([], 0, "Tesla T4, 15360 MiB\nTesla T4, 15360 MiB\n", ""))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return does


def test_a_driver_that_hangs_leaves_a_card(driver):
    def hang():
        raise _probe.subprocess.TimeoutExpired("nvidia-smi", 5)

    driver(hang)
    assert row("Device")["value"] == "not known (TimeoutExpired)"


def test_a_gpu_that_torch_sees_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch_that_sees(gpu=True))
    assert row("Device")["value"] == "NVIDIA H100, 80.0 GiB"


def test_a_gpu_is_named_before_torch_is_loaded(monkeypatch, driver):
    """Catches a card that says `cpu` on a GPU's computer because a lesson's first cell has not loaded torch."""
    monkeypatch.setattr(_probe, "_built_for_cuda", lambda: True)
    assert row("Device") == {"name": "Device", "value": "Tesla T4, 15360 MiB", "state": "ok", "hint": ""}
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    ("torch", "build", "visible", "hint"),
    [
        (None, False, "0", "build for CPUs"),
        (None, True, "", "CUDA_VISIBLE_DEVICES"),
        (torch_that_sees(gpu=False), True, "0", "does not see it"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_not_the_device(monkeypatch, driver, torch, build, visible, hint):
    """Catches a card that promises the driver's GPU to a torch that will run on the processor."""
    monkeypatch.setattr(_probe, "_built_for_cuda", lambda: build)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if torch:
        monkeypatch.setitem(sys.modules, "torch", torch)
    assert row("Device")["value"] == "Tesla T4, 15360 MiB, not used"
    assert hint in row("Device")["hint"]
    assert EnvCard().ready


@pytest.mark.parametrize(
    ("line", "cuda"), [("cuda: Optional[str] = '13.0'", True), ("cuda: Optional[str] = None", False)]
)
def test_the_build_of_torch_is_read_without_loading_it(monkeypatch, tmp_path, line, cuda):
    (tmp_path / "version.py").write_text(f"__version__ = '2.14.1'\n{line}\nhip: Optional[str] = '6.0'\n")
    monkeypatch.setattr(_probe, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    assert _probe._built_for_cuda() is cuda


def test_a_containers_limit_is_read(tmp_path):
    assert _probe.container_limit(tmp_path) is None
    for most, expected in (("max", None), ("2147483648\n", (2147483648, 1000))):
        (tmp_path / "memory.max").write_text(most)
        (tmp_path / "memory.current").write_text("1000\n")
        assert _probe.container_limit(tmp_path) == expected


def test_a_containers_limit_bounds_the_free_memory(monkeypatch):
    """Catches a card that promises a small container the whole machine's memory."""
    monkeypatch.setattr(_probe, "container_limit", lambda: (2 * 2**30, int(1.5 * 2**30)))
    assert row("Memory")["value"].startswith("0.5 of 2.0 GiB free")
    assert row("Memory")["state"] == "warn"


def test_a_key_is_never_shown(monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "secret-value")
    card = EnvCard()
    assert row("Gemini key")["value"] == "found"
    assert "secret-value" not in card.fallback() + str(card.packed().state)


class NotebookAccessError(Exception):
    """Colab's word for a secret that this notebook may not read."""


@pytest.mark.parametrize(
    ("secret", "variable", "says"),
    [
        ("secret-value", "", "found"),
        (KeyError("no such secret"), "", "none, and none is needed"),
        (NotebookAccessError("ask"), "", "in Colab's secrets, but not open to this notebook"),
        (NotebookAccessError("ask"), "secret-value", "found"),
    ],
)
def test_a_key_in_colabs_secrets_counts(monkeypatch, secret, variable, says):
    """Catches a card that says there is no key where the agent finds one."""

    def get(name):
        assert name == "GOOGLE_API_KEY"
        if isinstance(secret, Exception):
            raise secret
        return secret

    colab = SimpleNamespace(userdata=SimpleNamespace(get=get))
    monkeypatch.setitem(sys.modules, "google", SimpleNamespace(colab=colab))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setenv("GOOGLE_API_KEY", variable)
    assert row("Gemini key")["value"] == says
    assert "secret-value" not in str(EnvCard().packed().state)
