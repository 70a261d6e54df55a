"""From a corpus to weights. Needs the ``train`` extra."""

from lipwright.errors import require

require("torch", extra="train")
require("accelerate", extra="train")
require("tensorboard", extra="train")
require("onnx", extra="train")
