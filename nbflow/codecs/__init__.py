"""Values and their stored form: tagged JSON, with large binary data beside it.

Public are `register`, `allow_pickle`, `Secret` and `Unresolved`; the rest serves the
engine and the client.
"""

# These fill the tables of what can be stored.
from nbflow.codecs import _builtins as _builtins
from nbflow.codecs import _frames as _frames
from nbflow.codecs import _objects as _objects
from nbflow.codecs import _shell as _shell
from nbflow.codecs import _tables as _tables
from nbflow.codecs import _times as _times
from nbflow.codecs._arguments import (
    Arguments,
    decode_arguments,
    fingerprint,
    revive_arguments,
)
from nbflow.codecs._classes import Unresolved, class_name, find_class, type_name
from nbflow.codecs._coding import LIMIT, Payload, decode, encode, parse, revive
from nbflow.codecs._custom import register
from nbflow.codecs._pickled import allow_pickle
from nbflow.codecs._preview import preview
from nbflow.codecs._secrets import Secret, redact
from nbflow.codecs._text import is_plain
from nbflow.codecs._walk import Part

__all__ = [
    "LIMIT",
    "Arguments",
    "Part",
    "Payload",
    "Secret",
    "Unresolved",
    "allow_pickle",
    "class_name",
    "decode",
    "decode_arguments",
    "encode",
    "find_class",
    "fingerprint",
    "is_plain",
    "parse",
    "preview",
    "redact",
    "register",
    "revive",
    "revive_arguments",
    "type_name",
]
