"""`minisam bench amg --device cuda` without a GPU: the whole path on a small network, the meter a stand-in."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch._C._autograd import DeviceType

from minisam.bench import amg, amg_on_device, device_meter, original
from minisam.bench.amg import ORIGINAL, OURS, Setting
from minisam.bench.amg_on_device import Contestant, exact_records, measure_amg_on_device
from minisam.bench.amg_on_device_report import ALL, DeviceAmgReport, Timeline
from minisam.bench.amg_phases import (
    DECODER,
    ENCODER,
    PHASES,
    POST_PROCESSING,
    PREPARING,
    RANGE,
    Ranges,
    busy_in_phases,
    listening,
    time_phases,
    work_in_ranges,
)
from minisam.bench.device_meter import Activity, CudaMeter, activities_on
from minisam.cli.main import main
from minisam.masks.rle import encode_rle
from minisam.model.fast.kernel_choice import kernel_for
from minisam_kernels.launch import INTERPRETED

installed = pytest.mark.skipif(not original.is_installed(), reason=original.INSTALL_COMMAND)
NANO = Setting("nano", 96, 9, threads=1)  # 81 clicks: two batches


class StandIn:
    """A meter whose marks are twice as far apart each time, and whose work is what the CPU does."""

    device, name = "cpu", "Some GPU"

    def __init__(self) -> None:
        self.marks, self.runs = 0, []

    def mark(self) -> int:
        self.marks += 1
        return 2 ** (self.marks - 1)

    def milliseconds(self, start: int, end: int) -> float:
        return end - start

    def peak_bytes(self, run) -> int:
        self.runs.append("peak")
        run()
        return 1_500_000_000 if self.runs.count("peak") == 1 else 500_000_000

    def waits(self, run) -> int:
        self.runs.append("waits")
        run()
        return 7

    def activities(self, run) -> list[Activity]:
        self.runs.append("activities")
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            run()
        return activities_on(DeviceType.CPU, profile.events() or ())


class Part(nn.Module):
    """A part of a network that only adds."""

    def forward(self, x):
        return x + 1


def small_network(batches: int = 2):
    """A network of parts, and a run that calls them as a generator does."""
    network = SimpleNamespace(image_encoder=Part(), prompt_encoder=Part(), mask_decoder=Part())

    def run():
        x = network.image_encoder(torch.zeros(2))
        for _ in range(batches):
            x = network.mask_decoder(network.prompt_encoder(x))
        return x

    return network, run


def test_every_moment_belongs_to_a_phase():
    network, run = small_network()
    spent = time_phases(network, run, StandIn())
    # Marks at 1 start, 2 encoder, 4 its end, 8 prompts, 16 masks, 32 prompts, 64 masks, 128 end.
    assert spent == {PREPARING: 1, ENCODER: 2, DECODER: 4 + 8 + 32, POST_PROCESSING: 16 + 64}
    assert tuple(spent) == PHASES


def test_nobody_listens_afterwards():
    network, run = small_network()
    meter = StandIn()
    with pytest.raises(ZeroDivisionError):
        time_phases(network, lambda: 1 / 0, meter)
    marks = meter.marks
    run()
    assert meter.marks == marks
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in vars(network).values())


def test_work_belongs_to_the_range_that_started_last():
    def work(start: float, milliseconds: float) -> Activity:
        return Activity("kernel", start, milliseconds, False)

    ranges = [
        Activity(RANGE + ENCODER, 1.0, 4.0, True),
        Activity("somebody else's", 2.0, 1.0, True),
        Activity(RANGE + POST_PROCESSING, 5.0, 1.0, True),
        Activity(RANGE + DECODER, 8.0, 1.0, False),
    ]
    works = [work(1.0, 0.5), work(4.9, 0.25), work(5.0, 2.0), work(7.0, 4.0), work(8.5, 0.125)]
    found = work_in_ranges(sorted([*ranges, *works], key=lambda one: one.start))
    assert found == {PREPARING: 0, ENCODER: 0.75, DECODER: 0.125, POST_PROCESSING: 6.0}
    before = work_in_ranges([work(0.0, 3.0), *ranges])
    assert before is not None and before[ENCODER] == 3.0
    assert work_in_ranges(works) is None


def test_the_profiler_tells_the_phases_apart():
    network, run = small_network(batches=1)
    network.mask_decoder.forward = lambda x: torch.randn(300, 300) @ torch.randn(300, 300)
    busy = busy_in_phases(network, run, StandIn())
    assert busy is not None and busy[PREPARING] > 0  # zeros are made there
    assert busy[DECODER] > busy[ENCODER] > 0 == busy[POST_PROCESSING]


def test_ranges_follow_each_other(monkeypatch):
    events = []

    class Recorded:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            events.append(("open", self.name))

        def __exit__(self, *_: object) -> None:
            events.append(("closed", self.name))

    monkeypatch.setattr(torch.profiler, "record_function", Recorded)
    network, run = small_network(batches=1)
    with listening(network, Ranges().enter):
        run()
    order = [PREPARING, ENCODER, DECODER, DECODER, POST_PROCESSING]
    assert events == [(what, RANGE + phase) for phase in order for what in ("open", "closed")]


def test_activities_are_of_one_device_in_milliseconds_by_their_start():
    def event(name: str, kind: DeviceType, start: float, end: float, annotation=None):
        interval = SimpleNamespace(start=start, elapsed_us=lambda: end - start)
        return SimpleNamespace(
            name=name, device_type=kind, time_range=interval, is_user_annotation=annotation
        )

    events = [
        event("late", DeviceType.CUDA, 3000.0, 3500.0),
        event("launch", DeviceType.CPU, 0.0, 9.0),
        event("early", DeviceType.CUDA, 1000.0, 4000.0, True),
    ]
    found = activities_on(DeviceType.CUDA, events)
    assert found == [Activity("early", 1.0, 3.0, True), Activity("late", 3.0, 0.5, False)]


@installed
def test_the_whole_path_measures_both():
    meter = StandIn()
    report = measure_amg_on_device(NANO, "torch", 2, True, meter)
    assert meter.runs == ["peak", "peak", "activities", "waits", "activities", "waits"]
    assert list(report.timelines) == [ORIGINAL, OURS]
    comparison = report.comparison
    assert comparison is not None and report.agrees and comparison.same == report.records > 3
    for place, (name, one) in enumerate(report.timelines.items()):
        assert (one.waits, one.peak_bytes) == (7, 500_000_000 if place else 1_500_000_000)
        assert len(one.seconds) == 2 and min(one.seconds) > 0
        # Eight marks a run, as above: ours and theirs in turn.
        for turn, spent in enumerate(one.milliseconds):
            first = 2 ** (8 * (2 * turn + place))
            assert [spent[phase] / first for phase in PHASES] == [1, 2, 44, 80], name
        assert one.busy_milliseconds is not None and one.busy_milliseconds[ENCODER] > 0
    record = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert record["device"] == "Some GPU" and record["backend"] == "torch"
    assert record["versions"].keys() >= {"torch", "cuda", "triton", "minisam"}
    assert len(record["commit"].rstrip("+")) in (7, 40) and record["records"] == report.records
    assert record["setting"]["points_per_side"] == 9 and 0 < record["setting"]["pred_iou_thresh"] < 1
    assert record["timelines"][OURS]["milliseconds"][0].keys() == set(PHASES)
    assert "targets" not in record and "target" not in report.table()


def fake_generator(events: list):
    """A generator of no masks, whose runs leave in `events` whether kernels computed them."""
    network, call = small_network()

    def generate(photo):
        assert photo.shape == (96, 96, 3)
        call()
        events.append("kernels" if kernel_for("mask_bits", torch.zeros(1), 8) else "torch")
        return []

    def build(*arguments):
        events.append(arguments)
        return SimpleNamespace(predictor=SimpleNamespace(model=network), generate=generate)

    return build


def test_the_network_is_warm_before_it_is_measured(monkeypatch):
    """Kernels are compiled when they are first called."""
    events = []
    monkeypatch.setattr(amg_on_device, "build_generator", fake_generator(events))
    monkeypatch.setattr(StandIn, "peak_bytes", lambda self, run: (events.append("from here"), run(), 5)[-1])
    one = amg_on_device.warmed_up(OURS, NANO, "torch", StandIn())
    assert events == ["from here", (OURS, NANO, "cpu", "uncompressed_rle"), "torch", "torch"]
    assert one.peak_bytes == 5 and one.run() == [] and hasattr(one.network, "mask_decoder")


@pytest.mark.skipif(not INTERPRETED, reason="needs no GPU, and none of its kernels is called")
@pytest.mark.parametrize(("backend", "computed"), [("triton", "kernels"), ("torch", "torch")])
def test_ours_runs_under_the_backend(backend, computed, monkeypatch):
    events, asked = [], []
    monkeypatch.setattr(amg_on_device, "build_generator", fake_generator(events))
    monkeypatch.setattr(amg_on_device, "choose_thresholds", lambda *found: asked.append(found) or found[0])
    report = measure_amg_on_device(NANO, backend, 3, False, StandIn())
    assert asked == [(NANO, "cpu")]
    assert events[1:] == [computed] * (2 + 3 + 3)  # warm-up; rounds; work, waits, records
    assert kernel_for("mask_bits", torch.zeros(1), 8) is None
    assert report.backend == backend and report.comparison is None and report.agrees
    assert list(report.timelines) == [OURS] and "theirs" not in report.table()


def made_up(points: int = 32, busy: bool = True, alone: bool = False) -> DeviceAmgReport:
    def timeline(factor: float) -> Timeline:
        rounds = [dict(zip(PHASES, (1.0, 2.0, 4.0, post), strict=True)) for post in (8.0, 9.0, 100.0)]
        scaled = [{phase: factor * value for phase, value in spent.items()} for spent in rounds]
        work = dict(zip(PHASES, (0.0, factor, 2 * factor, 4 * factor), strict=True)) if busy else None
        return Timeline([0.1, 0.1, 0.1], scaled, work, int(2e9 * factor), 3)

    timelines = {OURS: timeline(1)} if alone else {ORIGINAL: timeline(12), OURS: timeline(1)}
    setting = Setting("vit_b", 1024, points, threads=2)
    return DeviceAmgReport(setting, "Some GPU", "triton", {"torch": "2"}, "abc", timelines, 5, None)


def test_medians_and_ratios():
    report = made_up()
    ours = report.timelines[OURS]
    assert ours.of(POST_PROCESSING) == (9.0, 4.0) and ours.of(ALL) == (16.0, 7.0)
    assert report.ratio(POST_PROCESSING) == (12.0, 12.0)
    assert report.ratio(PREPARING) == (12.0, None)  # ours had nothing to do there
    assert made_up(alone=True).ratio(ALL) is None
    blind = made_up(busy=False)
    assert blind.timelines[OURS].of(ALL) == (16.0, None) and blind.ratio(ALL) == (12.0, None)
    assert "?" in blind.table()


def test_targets_stand_beside_the_setting_they_are_for():
    report = made_up()
    lines = {line[:20].strip(): line for line in report.table().splitlines()}
    assert lines[POST_PROCESSING].endswith(
        "9.00           4.00          12.00          12.00   <= 2 ms, >= 10 x"
    )
    assert lines[ALL].endswith("   <= 25 ms") and lines["milliseconds"].endswith("busy   target, busy")
    assert not lines[ENCODER].endswith("ms")
    assert lines["peak memory"].split()[-4:] == ["24.00", "GB", "2.00", "GB"]
    assert lines["waits of the CPU"].split()[-2:] == ["3", "3"]
    record = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert record["targets"] == {
        "most_busy_milliseconds": {ALL: 25, POST_PROCESSING: 2},
        "least_busy_ratio": {POST_PROCESSING: 10},
    }
    assert record["ratios"][PREPARING] == {"between_marks": 12, "busy": None}
    assert "target" not in made_up(points=16).table() and "targets" not in made_up(points=16).to_dict()


@pytest.fixture
def some_cuda(monkeypatch):
    """A stand-in for a GPU, with the methods that a meter uses."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")


def test_the_cuda_meter_counts_waits(some_cuda, monkeypatch):
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    meter = CudaMeter("cuda:0")
    assert meter.name == "the GPU cuda:0"

    def run():
        assert modes[-1] == "warn"
        for words in (
            "called a synchronizing CUDA operation",
            "another",
            "called a synchronizing CUDA operation",
        ):
            device_meter.warnings.warn(words, stacklevel=1)

    assert meter.waits(run) == 2 and modes[-1] == 0
    with pytest.raises(ZeroDivisionError):
        meter.waits(lambda: 1 / 0)
    assert modes[-1] == 0


def test_the_cuda_meter_takes_memory_from_where_it_was(some_cuda, monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: events.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: events.append("read") or 1000)
    assert CudaMeter("cuda").peak_bytes(lambda: events.append("run")) == 700
    assert events == ["reset", "run", "read"]


@pytest.mark.gpu
def test_the_cuda_meter_on_a_gpu():
    meter = CudaMeter("cuda")
    x = torch.randn(2000, 2000, device="cuda")
    network, _ = small_network()
    network.mask_decoder.forward = lambda _: [x @ x for _ in range(20)][-1]

    def run():
        network.image_encoder(x)
        network.mask_decoder(network.prompt_encoder(x)).sum().item()

    run()
    spent = time_phases(network, run, meter)
    assert 0 < spent[ENCODER] < spent[DECODER]
    busy = busy_in_phases(network, run, meter)
    assert busy is not None and busy[DECODER] > busy[ENCODER] > 0 < busy[POST_PROCESSING]
    assert sum(busy.values()) < 1.5 * sum(spent.values())
    assert meter.waits(run) == 1 and meter.waits(lambda: x @ x) == 0
    assert meter.peak_bytes(lambda: torch.empty(2**20, device="cuda")) == 4 * 2**20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "cuda"], "no device 'cuda' on this machine; use cpu"),
        (["--device", "cuda", "--backend", "torch"], "no device 'cuda' on this machine; use cpu"),
        (["--backend", "triton"], "--backend is for a CUDA device: add --device cuda, or omit it"),
    ],
)
def test_without_a_gpu_one_line_says_so(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert main(["bench", "amg", *arguments]) == 2
    assert capsys.readouterr().err == f"minisam: {words}\n"


def test_a_device_without_marks_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert main(["bench", "amg", "--device", "mps"]) == 2
    assert "phases cannot be timed on 'mps'; use --device cuda or cpu" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "backend"), [([], "triton"), (["--backend", "torch"], "torch")])
def test_the_command_measures_on_the_device(some_cuda, given, backend, monkeypatch, tmp_path, capsys):
    asked = []

    def measure(setting, backend, repeats, compare, meter):
        asked.append((setting, backend, repeats, meter.device))
        return made_up()

    monkeypatch.setattr(amg_on_device, "measure_amg_on_device", measure)
    monkeypatch.setattr(amg, "measure_amg", lambda *arguments: pytest.fail("measured on the CPU"))
    out = tmp_path / "amg.json"
    assert main(["bench", "amg", "--device", "cuda", *given, "--points-per-side", "8", "-o", str(out)]) == 0
    assert asked == [(Setting("vit_b", 1024, 8, threads=2), backend, 3, "cuda")]
    assert "Some GPU, the triton backend, commit abc" in capsys.readouterr().out
    assert json.loads(out.read_text(encoding="utf-8"))["benchmark"] == "amg on a device"


def test_masks_are_compared_without_rounded_convolutions():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:] = True
    seen = []

    def run():
        seen.append(torch.backends.cudnn.allow_tf32)
        return [{"segmentation": encode_rle(mask), "area": 8}]

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
        (record,) = exact_records(Contestant(None, run, 0))
        assert torch.backends.cudnn.allow_tf32
    assert seen == [False] and record["area"] == 8 and np.array_equal(record["segmentation"], mask)
