"""Modules generated from proto/; see proto/README.md."""

try:
    from google.protobuf.internal import builder as _builder  # what those modules are built with
except ImportError as error:
    raise ImportError(
        f"tfckpt needs protobuf 4.25 or newer ({error}); python3 -m pip install --upgrade 'protobuf>=4.25'"
    ) from error
