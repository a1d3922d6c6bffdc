"""How embeddings and signals were made, in the words of a methods section."""

from __future__ import annotations

from firstscan.domain.encoding import KINDS
from firstscan.report.data import LearnedFeatures, ReportData

from .citations import Citations

_GROUPS = {
    "embedding": "the embedding of a network",
    "positions": "features of a network with their positions",
    "appearance": "appearance at low resolution",
}
"""What feature groups are called in a paper; others are called by their names."""


def kind_of(learned: LearnedFeatures | None) -> str:
    """Return what the volumes are, as words to stand before them."""
    if learned is None:
        return ""
    channels = f"{len(learned.channels)}-channel " if len(learned.channels) > 1 else ""
    modality = {"ct": "CT ", "mr": "MR "}.get(learned.modality.lower(), "")
    return channels + modality


def features(learned: LearnedFeatures, cite: Citations) -> list[str]:
    """Return how a network made embeddings and signals."""
    if learned.encoder == "swin":
        encoder = (
            f"a Swin Transformer encoder {cite('tang2022', 'hatamizadeh2022')} as implemented in MONAI "
            f"{cite('cardoso2022')}"
        )
    else:
        encoder = f"a {'convolutional' if learned.encoder == 'conv' else learned.encoder} encoder"
    if learned.parameters:
        encoder += f" ({learned.parameters / 1e6:.1f} million parameters)"
    start = f"from the weights “{learned.checkpoint}”" if learned.checkpoint else "from random weights"
    trained = (
        f"was trained {start} on the pool for {learned.trained_steps:,} steps on three pretext tasks: predicting a "
        f"rotation {cite('gidaris2018')}, inpainting masked windows of {learned.window_voxels}³ voxels (masked "
        f"fraction {learned.masked_fraction:g}), and consistency between reconstructions of differently masked and "
        f"oriented views {cite('zhu2025')}"
        if learned.trained_steps
        else f"was taken {start} without training on the pool"
    )
    where = "foreground voxels" if learned.region == "foreground" else "all voxels of the crop"
    return [
        _prepared(learned),
        f"A network with {encoder} {trained}.",
        f"Typicality T was the inverse of the mean Euclidean distance of a volume's embedding to its "
        f"{learned.neighbours} nearest neighbours {cite('hacohen2022')}; uncertainty U was the voxel-wise variance "
        f"over {learned.views} masked reconstructions under rotations and permutations of axes, each mapped back to "
        f"the volume's own frame, averaged over {where}.",
    ]


def over_groups(data: ReportData) -> str:
    """Return which feature groups a strategy saw; nothing where these were the embeddings."""
    used = [_GROUPS.get(str(name), str(name)) for name in data.selection.diagnostics.get("features") or ()]
    if not used:
        return ""
    named = used[0] if len(used) == 1 else f"{', '.join(used[:-1])} and {used[-1]}"
    scaled = ", each reduced to its leading principal components and scaled alike" if len(used) > 1 else ""
    return f", over {named}{scaled}"


def _prepared(learned: LearnedFeatures) -> str:
    size = learned.crop_voxels
    return (
        f"Volumes were resampled to an isotropic spacing of {learned.spacing_mm:.3g} mm, cropped to "
        f"{size}×{size}×{size} voxels centred on the foreground, and normalised in intensity."
    )


def without_network(learned: LearnedFeatures, cite: Citations) -> list[str]:
    """Return how volumes were described without a network."""
    return [
        _prepared(learned),
        "No network was used: each volume was described by its appearance at low resolution (means over 12×12×12 cells "
        "of the patient's box), texture (energies of detail at three scales and statistics of gradients) and shape "
        "(extent and volume of the patient), each reduced to its leading principal components and scaled alike.",
        "Typicality T was the inverse of the mean Euclidean distance of a volume to its "
        f"{learned.neighbours} nearest neighbours in these features {cite('hacohen2022')}; the uncertainty U and the "
        "Difficulty-Coverage Ratio, which need a network, were not measured.",
    ]


def encoder(data: ReportData) -> list[str]:
    """Return which pretrained encoder was asked, by the content of its weights; nothing where none was."""
    name, weights = data.settings.get("encoder"), str(data.settings.get("checkpoint") or "")
    if not isinstance(name, str) or name not in KINDS:
        return []
    given = {"input size": "input_size", "spacing": "spacing", "window": "window"}
    told = [f"{said} {data.settings[key]}" for said, key in given.items() if data.settings.get(key) is not None]
    described = f"; {', '.join(told)}" if told else "; input as its publisher describes it"
    return [
        f"Volumes were also embedded by a pretrained encoder, {name} ({KINDS[name].what}; weights with SHA-256 "
        f"{weights[:16]}…{described}), whose features were averaged over the foreground."
    ]
