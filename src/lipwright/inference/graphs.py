"""What everything that changes an OpenVINO graph needs: names that tell its layers apart."""

import openvino as ov


def named_apart(graph: ov.Model) -> list[ov.Node]:
    """Give every layer a name of its own, for the graph's own names may repeat.

    Args:
        graph: Changed in place.

    Returns:
        Its layers, each after what it is computed from.
    """
    order: list[ov.Node] = graph.get_ordered_ops()
    for index, op in enumerate(order):
        op.set_friendly_name(f"{op.get_friendly_name()}#{index}")
    return order


def name_of(op: ov.Node) -> str:
    """Name of a layer."""
    return str(op.get_friendly_name())
