"""An engine of our own for encoders on CPUs with AMX: what lies between a model's files and the C++ of ``native/``.

``reading`` makes a :class:`~.shape.Shape` of a config and finds the tensors, ``tiling`` puts them into the order that
tiles are loaded in, ``packed`` is that as one block of memory or file, ``library`` is the C face, and whether this
machine can run it. Nothing here imports openvino, and nothing loads the library before an engine is wanted.
"""
