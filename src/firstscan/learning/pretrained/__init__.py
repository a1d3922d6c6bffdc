"""Encoders that others trained, one adapter a file: weights of a checkpoint → an embedding a scan."""

from .extract import ADAPTERS, Embedder, load_adapter
from .protocol import Adapter, Source

__all__ = ["ADAPTERS", "Adapter", "Embedder", "Source", "load_adapter"]
