"""Weights into runnable graphs: foreign checkpoints recognised, ONNX, the released layout.

Needs the ``train`` extra; import from its modules, so that what needs no torch stays without.
"""
