"""The targets that a selection can be handed to."""

from __future__ import annotations

from firstscan.domain.errors import UsageError

from .bids import write_bids
from .itksnap import write_itksnap
from .material import Writer
from .mitk import write_mitk
from .monailabel import write_monailabel
from .nnunet import write_nnunet
from .slicer import write_slicer, write_slicercart
from .tables import write_csv, write_dicom_list

WRITERS: dict[str, Writer] = {
    "bids": write_bids,
    "csv": write_csv,
    "dicom-list": write_dicom_list,
    "itksnap": write_itksnap,
    "mitk": write_mitk,
    "monailabel": write_monailabel,
    "nnunet": write_nnunet,
    "slicer": write_slicer,
    "slicercart": write_slicercart,
}


def targets() -> tuple[str, ...]:
    """Return the names of all targets, sorted."""
    return tuple(sorted(WRITERS))


def writer(target: str) -> Writer:
    """Return the writer of ``target``.

    Raises
    ------
    UsageError : no such target; the message lists those there are.
    """
    try:
        return WRITERS[target]
    except KeyError:
        raise UsageError(f"unknown target {target!r}; choose one of: {', '.join(targets())}") from None
