"""What is kept on disk: atomic writes, manifests, identities, caches, tables. Nothing half-written is ever trusted."""

from .atomic import atomic_write, remove_leftovers
from .cache import CaseCache, case_slug
from .features import read_features, stream_features, write_features
from .findings import read_findings, write_findings
from .identity import file_sha256, identity
from .in_place import amending, roll_back
from .lock import output_lock
from .manifest import Manifest, differences, read_manifest, verified, write_manifest
from .pieces import Pieces, PieceWriter
from .plain import dump_json, load_json, to_plain
from .selections import read_selection, write_selection
from .shards import Located, ShardStore, ShardWriter
from .workspace import Workspace, open_workspace

__all__ = [
    "CaseCache",
    "Located",
    "Manifest",
    "PieceWriter",
    "Pieces",
    "ShardStore",
    "ShardWriter",
    "Workspace",
    "amending",
    "atomic_write",
    "case_slug",
    "differences",
    "dump_json",
    "file_sha256",
    "identity",
    "load_json",
    "open_workspace",
    "output_lock",
    "read_features",
    "read_findings",
    "read_manifest",
    "read_selection",
    "remove_leftovers",
    "roll_back",
    "stream_features",
    "to_plain",
    "verified",
    "write_features",
    "write_findings",
    "write_manifest",
    "write_selection",
]
