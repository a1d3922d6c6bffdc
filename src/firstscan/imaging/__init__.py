"""Files → Pool, Volume, Crop. The home of SimpleITK, nibabel and pydicom, each imported on first use."""

from .channels import read_header
from .encoder_input import encoder_input
from .files import fingerprint
from .foreground import foreground
from .inspection import inspect, inspect_header
from .reading import read_array, read_volume
from .sources.indexing import LAYOUTS, index, with_channels
from .standardise import pool_spacing, standardise, summarise
from .thumbnails import thumbnails
from .writing import write_image

__all__ = [
    "LAYOUTS",
    "encoder_input",
    "fingerprint",
    "foreground",
    "index",
    "inspect",
    "inspect_header",
    "pool_spacing",
    "read_array",
    "read_header",
    "read_volume",
    "standardise",
    "summarise",
    "thumbnails",
    "with_channels",
    "write_image",
]
