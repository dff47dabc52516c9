"""A model.json that TensorFlow.js saved with its optimizer (``model.save(url, {includeOptimizer: true})``).

Looked up: tfjs, tfjs-core/src/optimizers/adam_optimizer.ts, rmsprop_optimizer.ts, momentum_optimizer.ts and
tfjs-layers/src/engine/training.ts: Adam adds epsilon after the bias correction, RMSProp inside of the root. A model that was
converted from Python holds Keras' own keys instead.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading
from ._table import Optimizer, Row, Table

AT = "trainingConfig.optimizer_config"


def _more(reading: Reading) -> None:
    """The batch of fit(), on one device and without accumulation."""
    if reading.switch(*AT.split("."), "config", "centered"):
        raise FieldError(f"{AT}.config.centered", True, "is not covered for tfjs: set it to false")
    reading.ask("batch_size", "Which batchSize goes to fit()?")


TABLE = Table(
    key="tfjs",
    label="TensorFlow.js",
    signature=Signature((f"{AT}.config.learningRate", "modelTopology", "weightsManifest", "trainingConfig.loss"),
                        needs=(f"{AT}.class_name",)),
    optimizer=Optimizer((f"{AT}.class_name",), {"adam": "adam", "rmsprop": "keras_rmsprop", "sgd": "sgd", "momentum": "sgd"}),
    rows=(
        Row("lr", (f"{AT}.config.learningRate",)),
        Row("beta1", (f"{AT}.config.beta1",)),
        Row("beta2", (f"{AT}.config.beta2",)),
        Row("alpha", (f"{AT}.config.decay",)),
        Row("eps", (f"{AT}.config.epsilon",), 1e-7),
        Row("momentum", (f"{AT}.config.momentum",)),
        Row("weight_decay", (), 0.0),
    ),
    syntaxes=("json",),
    more=_more,
    irrelevant=("modelTopology.config.layers.*.momentum", "modelTopology.config.layers.*.epsilon"),
)
FORMAT = TABLE.format
