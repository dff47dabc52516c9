"""A small log of each kind: its path below a folder, and its bytes. Those that a library writes are made by its own tables."""

import json
import sqlite3
import struct
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "logs"
STEPS = range(0, 200, 10)
LOSS = [2.5 / (1 + step / 50) for step in STEPS]


def lines(rows):
    return "".join(f"{row}\n" for row in rows).encode()


def crc32c(data):
    """The masked CRC-32C, bit by bit, from the polynomial of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number):
    answer = b""
    while number >= 0x80:
        answer += bytes([number & 0x7F | 0x80])
        number >>= 7
    return answer + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def record(data):
    header = struct.pack("<Q", len(data))
    return header + struct.pack("<I", crc32c(header)) + data + struct.pack("<I", crc32c(data))


def event(step, tag, value):
    summary = field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
    return record(b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step) + field(5, summary))


def database(*statements):
    connection = sqlite3.connect(":memory:")
    for statement, rows in statements:
        connection.executemany(statement, rows) if rows else connection.execute(statement)
    connection.commit()
    return connection.serialize()


def wandb_file():
    def logged(step, loss):
        items = [("_step", step), ("_runtime", step / 4), ("train/loss", loss), ("global_step", step * 5)]
        history = b"".join(field(1, field(2, name.encode()) + field(16, json.dumps(value).encode())) for name, value in items)
        return field(2, history + field(2, b"\x08" + varint(step)))

    run = field(17, field(1, b"abc") + field(8, b"base-1") + field(4, field(1, field(1, b"batch_size") + field(16, b"256"))))
    records = [run, *(logged(step // 10, loss) for step, loss in zip(STEPS, LOSS, strict=True))]
    return b":W&B\xe1\xbe\x00" + b"".join(struct.pack("<IHB", 0, len(data), 1) + data for data in records)


def chart():
    names = [f"base-{run} - train/loss{twin}" for run in (1, 2) for twin in ("", "__MIN", "__MAX")]
    rows = [
        f'"{step}","{loss}","{loss}","{loss}","{loss + 0.5}","{loss + 0.25}","{loss + 0.75}"'
        for step, loss in zip(STEPS, LOSS, strict=True)
    ]
    return lines([",".join(f'"{name}"' for name in ("Step", *names)), *rows])


POINTS = list(zip(STEPS, LOSS, strict=True))
HISTORY = [
    {"loss": loss, "grad_norm": 1.5, "learning_rate": 1e-3, "epoch": step / 100, "step": step} for step, loss in POINTS[1:]
]
EVALUATED = [{"eval_loss": loss + 0.25, "eval_runtime": 1.5, "epoch": step / 100, "step": step} for step, loss in POINTS[5::5]]
STATE = {
    "log_history": [*HISTORY, *EVALUATED, {"train_loss": 1.0, "train_runtime": 9.0, "step": 190, "epoch": 1.9}],
    "global_step": 190,
    "logging_steps": 10,
    "train_batch_size": 8,
    "max_steps": 190,
}
SAMPLES = {
    "chart.csv": chart(),
    "wandb/base-1.jsonl": lines(
        json.dumps(
            {
                "_step": step // 10,
                "_runtime": step / 4,
                "_timestamp": 1.7e9 + step,
                "train/loss": loss,
                "trainer/global_step": step,
                "note": "x",
            }
        )
        for step, loss in POINTS
    ),
    "wandb/run-abc.wandb": wandb_file(),
    "tb/base-1/events.out.tfevents.1.host": b"".join(
        [
            record(b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2")),
            *(event(step, "loss", loss) for step, loss in POINTS),
        ]
    ),
    "hf/base-1/trainer_state.json": json.dumps(STATE, indent=2).encode(),
    "lightning/version_0/metrics.csv": lines(
        ["epoch,step,train_loss,val_loss", *(f"{step // 100},{step},{loss}," for step, loss in POINTS), "1,199,,nan"]
    ),
    "mlflow.db": database(
        ("CREATE TABLE runs (run_uuid, name, lifecycle_stage)", []),
        ("CREATE TABLE metrics (key, value FLOAT, timestamp BIGINT, run_uuid, step BIGINT, is_nan BOOLEAN)", []),
        ("CREATE TABLE params (key, value, run_uuid)", []),
        ("INSERT INTO runs VALUES (?, ?, ?)", [("a", "base-1", "active"), ("b", "base-2", "deleted")]),
        ("INSERT INTO params VALUES ('batch_size', '256', ?)", [("a",)]),
        (
            "INSERT INTO metrics VALUES ('loss', ?, ?, 'a', ?, ?)",
            [(loss, 1_700_000_000_000 + step, step, 0) for step, loss in POINTS],
        ),
    ),
    "trackio.db": database(
        ("CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)", []),
        (
            "INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES ('2026-11-28T13:47:35+00:00', 'base-1', ?, ?)",
            [(step, json.dumps({"loss": loss, "bad": "NaN"})) for step, loss in POINTS],
        ),
    ),
    "trackio.json": json.dumps(
        {
            "project": "p",
            "run": "base-1",
            "metric": "loss",
            "values": [{"timestamp": "2026-11-28T13:47:35+00:00", "step": step, "value": loss} for step, loss in POINTS],
        }
    ).encode(),
    "aim.csv": (DATA / "aim.csv").read_bytes(),
    "base-1.noise.jsonl": lines(
        json.dumps({"samples": float(8 * step), "signal": 0.25, "noise": 3.5 + step, "clipped": 0.0}) for step, _ in POINTS
    ),
    "points.jsonl": lines(json.dumps({"step": step, "train": {"loss": loss}, "tokens": 100 * step}) for step, loss in POINTS),
    "points.json": json.dumps([{"iteration": step, "loss": loss} for step, loss in POINTS]).encode(),
    "wide.csv": lines(["step,samples,train loss,comment", *(f"{step},{8 * step},{loss},ok" for step, loss in POINTS)]),
    "long.csv": lines(
        ["run,metric,step,value", *(f"base-{run},loss,{step},{loss + run}" for run in (1, 2) for step, loss in POINTS)]
    ),
    "european.csv": lines(["step;loss", *(f"{step};{str(loss).replace('.', ',')}" for step, loss in POINTS)]),
    "nanogpt.txt": lines(
        [
            "number of parameters: 123.59M",
            "step 0: train loss 4.2874, val loss 4.2823",
            *(f"iter {step}: loss {loss:.4f}, time 28.66ms, mfu 5.93%" for step, loss in POINTS),
        ]
    ),
    "mlruns/0/meta.yaml": b"experiment_id: '0'\n",
    "mlruns/0/a1/meta.yaml": b"lifecycle_stage: active\nrun_id: a1\nrun_name: base-1\n",
    "mlruns/0/a1/metrics/train/loss": lines(f"{1_700_000_000_000 + step} {loss} {step}" for step, loss in POINTS),
    "mlruns/0/a1/params/batch_size": b"256",
}
ALONE = [name for name in SAMPLES if not name.startswith("mlruns")]


def put(folder: Path, name: str, data: bytes | None = None) -> Path:
    """Write a sample below ``folder``; for a part of mlruns the whole of it. Returns what to read."""
    names = [name] if name in ALONE else [other for other in SAMPLES if other not in ALONE]
    for other in names:
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SAMPLES[other] if data is None or other != name else data)
    return folder / name if name in ALONE else folder / "mlruns"
