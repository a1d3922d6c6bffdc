"""A methods paragraph ready for a paper, with the references it cites."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from firstscan.domain.encoding import KINDS
from firstscan.report.data import NO_NETWORK, LearnedFeatures, ReportData
from firstscan.report.rounds import in_methods
from firstscan.report.words import count, diagnostic, interval, number, p_value
from firstscan.selection.history import ADDED, AGAIN, CHOSEN, REPLACED, Entry, history_of
from firstscan.selection.slices.planning import ordinal

from .references import REFERENCES, Reference

_RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "random": ("uniformly at random", ()),
    "strided": ("at even steps along the scans ordered by foreground size", ()),
    "kcenter": ("by greedy k-centre (farthest-point) selection {0}", ("sener2018",)),
    "typiclust": ("by TypiClust: the most typical scan of each k-means cluster {0}", ("hacohen2022",)),
    "probcover": ("by ProbCover: greedy maximum coverage with balls of a fixed radius {0}", ("yehuda2022",)),
    "csal3d": ("by the uncertainty-reinforced diversity sampling of CSAL-3D {0}", ("zhu2025",)),
    "calr": ("by hierarchical clustering with information density (CALR) {0}", ("jin2022",)),
    "alps": ("by k-means, taking the scan nearest to each centre (ALPS) {0}", ("yuan2020",)),
    "usl": ("by unsupervised selective labelling {0}", ("wang2022",)),
    "coverage": (
        "by k-medoids: such that the mean distance of every volume to its nearest chosen one is smallest {0}",
        ("kaufman1990",),
    ),
    "centroids": (
        "by k-means with a growing number of clusters, taking the scan nearest to each centre {0}",
        ("yuan2024",),
    ),
    "proportional": (
        "from k-means clusters, their number by the mean silhouette: the medoid of each, then in proportion to their "
        "sizes, farthest points within a cluster first {0}",
        ("levy2026",),
    ),
    "maxherding": ("by MaxHerding, a generalised coverage criterion {0}", ("bae2024",)),
}


_GROUPS = {
    "embedding": "the embedding of a network",
    "positions": "features of a network with their positions",
    "appearance": "appearance at low resolution",
}
"""What feature groups are called in a paper; others are called by their names."""


@dataclass(frozen=True, slots=True)
class Methods:
    """The paragraph, the references it cites in order of first mention, and their BibTeX."""

    paragraph: str
    references: tuple[Reference, ...]
    bibtex: str


class _Citations:
    """Collects references in the order in which they are first cited."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str) -> str:
        for key in keys:
            if key not in self.keys:
                self.keys.append(key)
        return "(" + "; ".join(REFERENCES[key].short for key in keys) + ")"


def methods(data: ReportData) -> Methods:
    """Return a paragraph that says how this selection was made, in the words of a methods section."""
    cite = _Citations()
    sentences = [_opening(data, cite)]
    if data.learned is None:
        sentences.append("Embeddings and an uncertainty value of each scan were supplied from outside of firstscan.")
    elif data.learned.encoder == NO_NETWORK:
        sentences += _without_network(data.learned, cite)
    elif data.selection.strategy not in ("random", "strided"):
        sentences += _features(data.learned, cite)
    columns = data.selection.diagnostics.get("adjusted_for")
    if columns:
        sentences.append(
            f"Before selection, U and T were replaced by the residuals of a linear regression of their ranks on "
            f"{', '.join(map(str, columns))} (numbers by rank, categories by indicators)."
        )
    sentences += _encoder(data)
    sentences += _rule(data, cite)
    recall = diagnostic(data, "neighbour_recall")
    if recall is not None:
        sentences.append(
            f"Nearest neighbours were searched approximately: on a sample, {recall:.1%} of the true ones were found."
        )
    sentences.append(f"The random seed was {data.selection.seed}.")
    sentences += in_methods(data)
    sentences += _later(data)
    sentences += _slices(data)
    references = tuple(REFERENCES[key] for key in cite.keys)
    return Methods(" ".join(sentences), references, "\n\n".join(reference.bibtex for reference in references))


def _opening(data: ReportData, cite: _Citations) -> str:
    version = data.versions.get("firstscan", "")
    name = f"firstscan {version}".strip()
    kind = _kind(data.learned)
    first = len(_first(data)["picks"])
    text = (
        f"From a pool of {count(len(data.features), f'unlabelled {kind}volume')}, "
        f"{count(first, 'volume')} to annotate first {'was' if first == 1 else 'were'} "
        f"chosen with {name} {cite('firstscan')}."
    )
    if labelled := _first(data).get("labelled"):
        text += f" {count(labelled, 'volume')} had been annotated before and counted as such."
    if data.left_out:
        text += (
            f" Of {data.scanned:,} volumes found, {data.left_out:,} had been left out by an automatic check of headers "
            "and voxels."
        )
    return text


def _kind(learned: LearnedFeatures | None) -> str:
    if learned is None:
        return ""
    channels = f"{len(learned.channels)}-channel " if len(learned.channels) > 1 else ""
    modality = {"ct": "CT ", "mr": "MR "}.get(learned.modality.lower(), "")
    return channels + modality


def _features(learned: LearnedFeatures, cite: _Citations) -> list[str]:
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


def _over(data: ReportData) -> str:
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


def _without_network(learned: LearnedFeatures, cite: _Citations) -> list[str]:
    return [
        _prepared(learned),
        "No network was used: each volume was described by its appearance at low resolution (means over 12×12×12 cells "
        "of the patient's box), texture (energies of detail at three scales and statistics of gradients) and shape "
        "(extent and volume of the patient), each reduced to its leading principal components and scaled alike.",
        "Typicality T was the inverse of the mean Euclidean distance of a volume to its "
        f"{learned.neighbours} nearest neighbours in these features {cite('hacohen2022')}; the uncertainty U and the "
        "Difficulty-Coverage Ratio, which need a network, were not measured.",
    ]


def _encoder(data: ReportData) -> list[str]:
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


def _rule(data: ReportData, cite: _Citations) -> list[str]:
    name = data.selection.strategy
    if name != "cscs":
        rule, keys = _RULES.get(name, (f"by the strategy “{name}”", ()))
        return [f"Volumes were chosen {rule.format(*(cite(key) for key in keys))}{_over(data)}."]
    strata = _first(data).get("n_strata") or diagnostic(data, "n_strata") or len(_first(data)["picks"])
    sentences = [
        "Volumes were chosen by Curriculum-Stratified Cold-Start selection (CSCS) " + cite("hattat2026") + ".",
        _pacing(data),
        f"Standardised embeddings were partitioned into K = {strata:.0f} strata by k-means++ "
        f"{cite('arthur2007')}, and the volume with the largest S = T^(1−γ)·U^γ of the rank-normalised signals was "
        "taken from each stratum.",
    ]
    if over := _over(data):
        sentences.append(f"Strata and typicality were formed{over}.")
    least = int(data.selection.options.get("min_stratum", 3))
    if data.selection.options.get("thin_strata", "fill") == "score":
        sentences.append("Strata of any size were scored alike.")
    else:
        sentences.append(
            f"Strata of fewer than {least} volumes were skipped, and their places were filled from the ranking of S "
            "over the whole pool."
        )
    if data.learned is not None and data.learned.region == "foreground":
        sentences.append(
            "Unlike the authors' reference implementation, every reconstruction was mapped back before the variance "
            "was taken, and both signals were confined to the foreground, so that neither the order of axes nor the "
            "share of background enters them."
        )
    return sentences


def _slices(data: ReportData) -> list[str]:
    """Return what a plan by slice asks for; nothing for whole volumes."""
    plan = data.selection.slices
    if plan is None:
        return []
    planes = sorted({case.plane for case in plan})
    kind = planes[0] if len(planes) == 1 else "acquired"
    which = f"every {ordinal(plan.every)} {kind} slice" if plan.every > 1 else f"every {kind} slice"
    if plan.settings.get("slices_by"):
        which = f"as many as every {ordinal(plan.every)} {kind} slice"
    within = plan.settings.get("within")
    where = f", {within[0]:g} to {within[1]:g} {within[2]} from its top," if isinstance(within, list | tuple) else ""
    each = "each volume" if len(plan.cases) == len(data.selection) else f"{len(plan.cases):,} of the volumes"
    how = "the first one was staggered from volume to volume so that positions along the body are covered evenly"
    if by := plan.settings.get("slices_by"):
        how = f"in the last round they were those with the highest {by} of the prediction, none close to another"
    return [
        f"Of {each} not all slices were to be annotated but {which} within the patient{where} "
        f"({count(len(plan), 'slice')} in all); {how}. All other slices are ignored in training."
    ]


def _first(data: ReportData) -> Entry:
    """Return what was chosen first."""
    return next(e for e in history_of(data.selection) if e["action"] == CHOSEN)


def _later(data: ReportData) -> list[str]:
    """Return a sentence for each change of the batch after the first choice, in the order in which they were made."""
    told = []
    for entry in history_of(data.selection)[1:]:
        if entry["action"] == REPLACED:
            place = "its stratum" if entry["from"] == "same stratum" else "the whole pool"
            told.append(f"One volume was set aside ({entry['why']}) and replaced by the best remaining one of {place}.")
        elif entry["action"] == ADDED:
            told.append(_added(entry, first=str(_first(data)["strategy"])))
        elif entry["action"] == AGAIN:
            kept = f", {count(len(entry['kept']), 'volume')} of the earlier batch being kept" if entry["kept"] else ""
            told.append(
                f"After review the batch was chosen anew with {count(len(entry['picks']), 'volume')} by strategy "
                f"“{entry['strategy']}”{kept}."
            )
    return _merged(told)


def _added(entry: Entry, *, first: str) -> str:
    n, how = len(entry["picks"]), str(entry["strategy"])
    same = "by the same rule" if how == first else f"by strategy “{how}”"
    known = f", with the {entry['labelled']:,} annotated by then counted as covered" if entry.get("labelled") else ""
    strata = " The strata of these were formed anew." if entry.get("n_strata") else ""
    gamma = entry.get("gamma")
    paced = f" (γ = {gamma:.3f})" if how == "cscs" and isinstance(gamma, float) else ""
    return f"{count(n, 'volume')} {'was' if n == 1 else 'were'} added later {same}{known}{paced}.{strata}"


def _merged(sentences: list[str]) -> list[str]:
    """Return the sentences with equal ones that follow each other told once, with their number."""
    merged: list[str] = []
    for same, group in groupby(sentences):
        n = len(list(group))
        merged.append(same if n == 1 else f"{same.removesuffix('.')}; this was done {n} times.")
    return merged


def _pacing(data: ReportData) -> str:
    chosen = _first(data)
    dcr, alpha, gamma = (chosen.get(name, diagnostic(data, name)) for name in ("dcr", "alpha_eff", "gamma"))
    if dcr is None or gamma is None:
        return "The weight γ of uncertainty against typicality followed the published pacing rule."
    bounds, chance = interval(data), p_value(chosen.get("dcr_pvalue", diagnostic(data, "dcr_pvalue")))
    within = f", 95 % interval {number(bounds[0])} to {number(bounds[1])}" if bounds else ""
    effective = f" and the effective budget α = B/√N = {number(alpha)}" if alpha is not None else ""
    return (
        "The Difficulty-Coverage Ratio, Spearman's rank correlation of U and T over the pool, was "
        f"{number(dcr)} ({chance}{within}); with it{effective}, the pacing rule gave "
        f"the weight of uncertainty against typicality, γ = {gamma:.3f}."
    )
