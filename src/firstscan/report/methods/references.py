"""The literature that a methods paragraph may cite."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """One work: how it is cited in a sentence, its entry in a list of references, and its BibTeX."""

    key: str
    short: str
    kind: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int | None
    field: str = "journal"
    more: tuple[tuple[str, str], ...] = ()

    @property
    def full(self) -> str:
        """The entry in a list of references."""
        people = ", ".join(_initialled(author) for author in self.authors)
        details = ", ".join(f"{_SHOWN[name]}{value}" for name, value in self.more if name in _SHOWN)
        parts = [f"{people}{f' ({self.year})' if self.year else ''}", self.title, self.venue, details]
        return ". ".join(part for part in parts if part) + "."

    @property
    def bibtex(self) -> str:
        """The BibTeX entry."""
        fields: list[tuple[str, str]] = [
            ("author", " and ".join(self.authors)),
            ("title", "{" + self.title + "}"),
            (self.field, self.venue),
            *((("year", str(self.year)),) if self.year else ()),
            *self.more,
        ]
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields if value)
        return f"@{self.kind}{{{self.key},\n{body}\n}}"


def _initialled(author: str) -> str:
    """Return ``Boyd-Graber, Jordan L.`` as ``Boyd-Graber JL``."""
    family, _, given = author.strip("{}").partition(", ")
    if family == "others":
        return "et al."
    initials = "".join(word[0] for word in given.replace("-", " ").split())
    return f"{family} {initials}".strip()


_SHOWN = {"volume": "", "pages": "pp. ", "note": "", "eprint": "arXiv:", "doi": "doi:"}


def _talk(
    key: str, short: str, authors: tuple[str, ...], title: str, venue: str, *, year: int, pages: str = ""
) -> Reference:
    more = (("pages", pages),) if pages else ()
    return Reference(key, short, "inproceedings", authors, title, venue, year, "booktitle", more)


_ALL = (
    Reference(
        "firstscan", "firstscan developers", "software", ("{The firstscan developers}",),
        "firstscan: choose which 3D scans to annotate first", "", None, "publisher",
        (("note", "Open-source software, Apache-2.0"),),
    ),
    Reference(
        "kaufman1990", "Kaufman & Rousseeuw, 1990", "book",
        ("Kaufman, Leonard", "Rousseeuw, Peter J."),
        "Finding Groups in Data: An Introduction to Cluster Analysis", "Wiley", 1990, "publisher",
    ),
    Reference(
        "hattat2026", "Hattat et al., 2026", "misc",
        ("Hattat, Rémi", "Beaumont, Marine", "Bertholdt, Charline", "Hossu, Gabriela", "Morel, Olivier",
         "Chen, Bailiang"),
        "Dataset-Aware Cold-Start Active Learning for Annotation-Efficient 3D Medical Image Segmentation",
        "", 2026, "publisher", (("eprint", "2606.20765"), ("archiveprefix", "arXiv")),
    ),
    _talk(
        "zhu2025", "Zhu et al., 2025",
        ("Zhu, Ning", "Ye, Ping", "Zhong, Lanfeng", "Yue, Qiang", "Zhang, Shaoting", "Wang, Guotai"),
        "CSAL-3D: Cold-start Active Learning for 3D Medical Image Segmentation via SSL-driven "
        "Uncertainty-Reinforced Diversity Sampling",
        "Medical Image Computing and Computer Assisted Intervention – MICCAI 2025", year=2025,
    ),
    _talk(
        "arthur2007", "Arthur and Vassilvitskii, 2007", ("Arthur, David", "Vassilvitskii, Sergei"),
        "k-means++: The Advantages of Careful Seeding",
        "Proceedings of the Eighteenth Annual ACM-SIAM Symposium on Discrete Algorithms", year=2007, pages="1027–1035",
    ),
    _talk(
        "hacohen2022", "Hacohen et al., 2022", ("Hacohen, Guy", "Dekel, Avihu", "Weinshall, Daphna"),
        "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets",
        "Proceedings of the 39th International Conference on Machine Learning", year=2022, pages="8175–8195",
    ),
    _talk(
        "yehuda2022", "Yehuda et al., 2022", ("Yehuda, Ofer", "Dekel, Avihu", "Hacohen, Guy", "Weinshall, Daphna"),
        "Active Learning Through a Covering Lens", "Advances in Neural Information Processing Systems 35", year=2022,
    ),
    _talk(
        "sener2018", "Sener and Savarese, 2018", ("Sener, Ozan", "Savarese, Silvio"),
        "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
        "International Conference on Learning Representations", year=2018,
    ),
    Reference(
        "jin2022", "Jin et al., 2022", "article",
        ("Jin, Qiuye", "Yuan, Mingzhi", "Li, Shiman", "Wang, Haoran", "Wang, Manning", "Song, Zhijian"),
        "Cold-start active learning for image classification", "Information Sciences", 2022, "journal",
        (("volume", "616"), ("pages", "16–36")),
    ),
    _talk(
        "yuan2020", "Yuan et al., 2020", ("Yuan, Michelle", "Lin, Hsuan-Tien", "Boyd-Graber, Jordan"),
        "Cold-start Active Learning through Self-supervised Language Modeling",
        "Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing", year=2020,
    ),
    _talk(
        "wang2022", "Wang et al., 2022", ("Wang, Xudong", "Lian, Long", "Yu, Stella X."),
        "Unsupervised Selective Labeling for More Effective Semi-Supervised Learning",
        "European Conference on Computer Vision", year=2022,
    ),
    _talk(
        "bae2024", "Bae et al., 2024", ("Bae, Wonho", "Noh, Junhyug", "Sutherland, Danica J."),
        "Generalized Coverage for More Robust Low-Budget Active Learning",
        "European Conference on Computer Vision", year=2024,
    ),
    Reference(
        "yuan2024", "Yuan and Hong, 2024", "misc", ("Yuan, Han", "Hong, Chuan"),
        "Foundation Model Makes Clustering A Better Initialization For Cold-Start Active Learning", "", 2024,
        "publisher", (("eprint", "2402.02561"), ("archiveprefix", "arXiv")),
    ),
    Reference(
        "levy2026", "Levy et al., 2026", "misc",
        ("Levy, Devon", "Assayag, Bar", "Gaspar, Laura", "Shimshoni, Ilan", "Specktor-Fadida, Bella"),
        "From Cold Start to Active Learning: Embedding-Based Scan Selection for Medical Image Segmentation", "", 2026,
        "publisher", (("eprint", "2601.18532"), ("archiveprefix", "arXiv")),
    ),
    _talk(
        "gidaris2018", "Gidaris et al., 2018", ("Gidaris, Spyros", "Singh, Praveer", "Komodakis, Nikos"),
        "Unsupervised Representation Learning by Predicting Image Rotations",
        "International Conference on Learning Representations", year=2018,
    ),
    _talk(
        "tang2022", "Tang et al., 2022",
        ("Tang, Yucheng", "Yang, Dong", "Li, Wenqi", "Roth, Holger R.", "Landman, Bennett", "Xu, Daguang",
         "Nath, Vishwesh", "Hatamizadeh, Ali"),
        "Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image Analysis",
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        year=2022, pages="20730–20740",
    ),
    _talk(
        "hatamizadeh2022", "Hatamizadeh et al., 2022",
        ("Hatamizadeh, Ali", "Nath, Vishwesh", "Tang, Yucheng", "Yang, Dong", "Roth, Holger R.", "Xu, Daguang"),
        "Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors in MRI Images",
        "Brainlesion: Glioma, Multiple Sclerosis, Stroke and Traumatic Brain Injuries (BrainLes 2021)",
        year=2022, pages="272–284",
    ),
    Reference(
        "cardoso2022", "Cardoso et al., 2022", "misc", ("Cardoso, M. Jorge", "others"),
        "MONAI: An open-source framework for deep learning in healthcare", "", 2022, "publisher",
        (("eprint", "2211.02701"), ("archiveprefix", "arXiv")),
    ),
)  # fmt: skip

REFERENCES = {reference.key: reference for reference in _ALL}
