"""Products that stay in float32 whatever the rest of the graph is executed in.

OpenVINO's CPU plugin, told to execute in bf16, keeps the tail of a graph in f32: everything from the outputs back to
the first heavy product (``EnforceInferencePrecision`` in its ``graph.cpp``). That covers pooling and normalising, but a
product in the head itself would be rounded to bf16, and whatever lies before it with it: scores that differ by less
than 1/256 would tie. Three things prevent that, and a test looks at the result of all of them:

- the product carries the runtime attribute ``precise`` (``ov::DisablePrecisionConversion``), which the plugin honours.
  Python can only attach strings and numbers to a node, so the node is read from an IR of one product, and then wired
  into the graph like any other;
- what such a product reads is an output of the graph too, which makes it part of the tail;
- the product itself is one as well where a bias follows: fused, the two are a new node that is not ``precise``.
"""

from __future__ import annotations

from typing import Any

from hardtack.runtime.engines.openvino_import import import_openvino

_ONE_PRODUCT = b"""<?xml version="1.0"?>
<net name="one product" version="11">
  <layers>
    <layer id="0" name="x" type="Parameter" version="opset1">
      <data shape="?,?" element_type="f32"/>
      <output><port id="0" precision="FP32"><dim>-1</dim><dim>-1</dim></port></output>
    </layer>
    <layer id="1" name="weight" type="Parameter" version="opset1">
      <data shape="?,?" element_type="f32"/>
      <output><port id="0" precision="FP32"><dim>-1</dim><dim>-1</dim></port></output>
    </layer>
    <layer id="2" name="product" type="MatMul" version="opset1">
      <data transpose_a="false" transpose_b="true"/>
      <rt_info><attribute name="precise" version="0"/></rt_info>
      <input>
        <port id="0" precision="FP32"><dim>-1</dim><dim>-1</dim></port>
        <port id="1" precision="FP32"><dim>-1</dim><dim>-1</dim></port>
      </input>
      <output><port id="2" precision="FP32"><dim>-1</dim><dim>-1</dim></port></output>
    </layer>
    <layer id="3" name="y" type="Result" version="opset1">
      <input><port id="0" precision="FP32"><dim>-1</dim><dim>-1</dim></port></input>
    </layer>
  </layers>
  <edges>
    <edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
    <edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
    <edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>
  </edges>
</net>
"""


def is_precise(node: Any) -> bool:
    """Whether a node is to stay in float32: what the attribute is called in an IR, and what a graph calls it."""
    return any(name.startswith(("precise", "DisablePrecisionConversion")) for name in node.get_rt_info())


def precise_product(x: Any, weight: Any) -> Any:
    """``x @ weight.T`` in float32: x ``(…, inputs)``, weight ``(outputs, inputs)`` → ``(…, outputs)``."""
    model = import_openvino().Core().read_model(_ONE_PRODUCT, b"")
    product = next(node for node in model.get_ops() if node.get_type_name() == "MatMul")
    product.input(0).replace_source_output(x.output(0))
    product.input(1).replace_source_output(weight.output(0))
    product.constructor_validate_and_infer_types()
    return product
