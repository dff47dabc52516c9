"""How long logs of a million points take to be read, and how much memory: each kind of file in a process of its own.

python benchmarks/logs.py [--points 1000000] [--kinds csv tensorboard ...]
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sqrtscale import logs

METRICS = ("train/loss", "train/grad_norm", "train/lr", "eval/loss")  # a row has them all


def values(points: int) -> np.ndarray:
    """[rows, metrics]: as many numbers as there are points."""
    return np.random.default_rng(0).lognormal(size=(points // len(METRICS), len(METRICS)))


def wide_csv(folder: Path, points: int) -> Path:
    rows = (f"{step}," + ",".join(map(repr, row)) for step, row in enumerate(values(points).tolist()))
    return _text(folder / "wide.csv", ["step," + ",".join(METRICS), *rows])


def long_csv(folder: Path, points: int) -> Path:
    rows = (
        f"run-{step % 8},{name},{step},{value!r}"
        for step, row in enumerate(values(points).tolist())
        for name, value in zip(METRICS, row, strict=True)
    )
    return _text(folder / "long.csv", ["run,metric,step,value", *rows])


def many_curves(folder: Path, points: int) -> Path:
    """50 runs of 100 metrics each."""
    rows = (
        f"run-{run},metric-{metric},{step},{step + 0.5}"
        for step in range(points // 5000)
        for run in range(50)
        for metric in range(100)
    )
    return _text(folder / "many.csv", ["run,metric,step,value", *rows])


def wandb_chart(folder: Path, points: int) -> Path:
    columns = [
        f"run-{number} - {name}{twin}" for number in range(4) for name in ("train/loss",) for twin in ("", "__MIN", "__MAX")
    ]
    rows = (
        f"{step}," + ",".join(f"{value!r},{value!r},{value!r}" for value in row)
        for step, row in enumerate(values(points).tolist())
    )
    return _text(folder / "chart.csv", ['"Step",' + ",".join(f'"{column}"' for column in columns), *rows])


def wandb_history(folder: Path, points: int) -> Path:
    rows = (
        json.dumps({"_step": step, "_runtime": step / 7, **dict(zip(METRICS, row, strict=True))})
        for step, row in enumerate(values(points).tolist())
    )
    return _text(folder / "wandb.jsonl", rows)


def one_metric_a_line(folder: Path, points: int) -> Path:
    rows = (json.dumps({"step": step, "loss": value}) for step, value in enumerate(values(points).ravel().tolist()))
    return _text(folder / "points.jsonl", rows)


def trainer_state(folder: Path, points: int) -> Path:
    path = folder / "trainer_state.json"
    rows = [
        {"step": step, "epoch": step / 100, **dict(zip(METRICS, row, strict=True))}
        for step, row in enumerate(values(points).tolist())
    ]
    path.write_text(json.dumps({"log_history": rows, "logging_steps": 1, "global_step": len(rows)}, indent=2))
    return path


def nanogpt(folder: Path, points: int) -> Path:
    rows = (
        f"iter {step}: loss {row[0]:.4f}, time {row[1]:.2f}ms, mfu {row[2]:.2f}%, norm {row[3]:.4f}"
        for step, row in enumerate(values(points).tolist())
    )
    return _text(folder / "nano.txt", rows)


def tensorboard(folder: Path, points: int) -> Path:
    path = folder / "events.out.tfevents.1.host"
    with path.open("wb") as file:
        for step, row in enumerate(values(points).tolist()):
            for name, value in zip(METRICS, row, strict=True):
                tag = name.encode()
                scalar = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + struct.pack("<f", value)
                summary = b"\x0a" + bytes([len(scalar)]) + scalar
                data = (
                    b"\x09"
                    + struct.pack("<d", 1.7e9 + step)
                    + b"\x10"
                    + _varint(step)
                    + b"\x2a"
                    + bytes([len(summary)])
                    + summary
                )
                file.write(_record(data))
    return path


def mlflow_db(folder: Path, points: int) -> Path:
    path = folder / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (run_uuid, name, lifecycle_stage)")
        database.execute("CREATE TABLE metrics (key, value FLOAT, timestamp BIGINT, run_uuid, step BIGINT, is_nan BOOLEAN)")
        database.execute("INSERT INTO runs VALUES ('a', 'base-1', 'active')")
        rows = (
            (name, value, 1_700_000_000_000 + step, "a", step, 0)
            for step, row in enumerate(values(points).tolist())
            for name, value in zip(METRICS, row, strict=True)
        )
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
    return path


KINDS: dict[str, Callable[[Path, int], Path]] = {
    made.__name__: made
    for made in (
        wide_csv,
        long_csv,
        many_curves,
        wandb_chart,
        wandb_history,
        one_metric_a_line,
        trainer_state,
        nanogpt,
        tensorboard,
        mlflow_db,
    )
}


def _text(path: Path, lines) -> Path:
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def _varint(number: int) -> bytes:
    answer = b""
    while number >= 0x80:
        answer += bytes([number & 0x7F | 0x80])
        number >>= 7
    return answer + bytes([number])


CRCS: dict[bytes, bytes] = {}


def _record(data: bytes) -> bytes:
    header = struct.pack("<Q", len(data))
    if header not in CRCS:
        CRCS[header] = _crc(header)
    return header + CRCS[header] + data + _crc(data)


def _crc(data: bytes) -> bytes:
    """The masked CRC-32C of bytes, one byte after another."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = BYTES[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _bytes() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


BYTES = _bytes()


def highest() -> int:
    """The most memory that this process has had, in MB; getrusage would count that of the process which started it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def measured(path: Path) -> None:
    """Read ``path``; print points, seconds, CPU seconds, and MB of memory at most, then and before."""
    least = highest()
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    result = logs.read(path)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    most = highest()
    points = sum(len(curve.points) for run in result.runs for curve in run.curves.values())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps([points, round(seconds, 2), round(cpu, 2), most, least]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        measured(given.read)
        return
    print("| kind | file, MB | points | s | CPU s | MB of memory, with what the imports take |\n|---|---|---|---|---|---|")
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            path = KINDS[kind](Path(folder), given.points)
            done = subprocess.run([sys.executable, __file__, "--read", path], capture_output=True, text=True, check=True)
            points, seconds, cpu, most, least = json.loads(done.stdout)
            print(f"| {kind} | {path.stat().st_size >> 20} | {points:,} | {seconds} | {cpu} | {most} ({least}) |", flush=True)


if __name__ == "__main__":
    main()
