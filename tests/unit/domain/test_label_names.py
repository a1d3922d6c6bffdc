"""The rule on names: what is a label map by its name, what is not, and what a scan and its label map share."""

from __future__ import annotations

import pytest

from firstscan.domain.names.label_maps import (
    are_labels,
    core_of,
    hints_at_labels,
    is_label_folder,
    names_labels,
    without_label_words,
)


@pytest.mark.parametrize(
    "name",
    [
        "p0_seg", "p0.seg", "p0-label", "p0_Label", "p0_SEGMENTATION", "p0_label_map", "p0_msk", "mask_p0", "p0_mask_2",
        "segmentation-17", "segmentation", "patient001_frame01_gt", "BraTS-GLI-00001-000-seg", "sub-01_ses-2_dseg",
        "sub-01_space-T1w_label-GM_probseg", "p0Seg", "caseLabel", "ground_truth_3", "GroundTruth", "p0_seg1",
        "aparc+aseg", "p 0 mask", "p0_labels_final",
    ],
)  # fmt: skip
def test_words_for_label_maps_count_anywhere_at_their_borders(name):
    assert names_labels(name)


@pytest.mark.parametrize(
    "name",
    [
        "p0", "volume-17", "imaging", "masked_3", "segment", "unlabelled_3", "aGT3f", "sub-seg1_T1w",
        "sub-01_ses-mask_T1w", "patient001_frame01", "maskell_01", "lesion_001", "tumor_4", "ADC_map", "scan_final",
        "BraTS-GLI-00001-000-t1n",
    ],
)  # fmt: skip
def test_other_names_are_no_label_maps(name):
    assert not names_labels(name)


@pytest.mark.parametrize("word", ["roi", "GTV", "GTVp", "contour", "manual", "lesion", "Lesions", "tumor", "tumour2"])
def test_hints_count_beside_a_scan_of_the_same_name(word):
    assert hints_at_labels(f"p0_{word}")
    assert are_labels(["p0", f"p0_{word}"], [(), ()]) == [False, True]
    assert are_labels(["img_7", f"{word}_7"], [(), ()]) == [False, True]
    assert are_labels(["imaging", word], [("case1",), ("case1",)]) == [False, True]
    assert are_labels(["p1", f"p0_{word}"], [(), ()]) == [False, False]
    assert are_labels(["p0", f"p0_{word}"], [("a",), ("b",)]) == [False, False]


def test_scans_called_after_what_is_in_them_stay_scans():
    names = ["tumor_1", "tumor_2", "normal_1", "normal_2"]
    assert are_labels(names, [()] * 4) == [False] * 4


@pytest.mark.parametrize(
    ("folder", "is_one"),
    [
        ("labelsTr", True), ("masks", True), ("Segmentations", True), ("gt", True), ("labels_tr", True),
        ("ground_truth", True), ("lesion_masks", True), ("manual_segmentation", True), ("imagesTr", False),
        ("seg_project", False), ("tumor", False), ("reader1", False), ("mask_rcnn_data", False),
    ],
)  # fmt: skip
def test_folders_are_of_label_maps_where_nothing_else_is_in_their_name(folder, is_one):
    assert is_label_folder(folder) == is_one
    assert are_labels(["p0"], [(folder,)]) == [is_one]


@pytest.mark.parametrize(
    ("stem", "bare", "core"),
    [
        ("p0_seg", "p0", "p0"),
        ("p0.seg", "p0", "p0"),
        ("segmentation-17", "17", "17"),
        ("volume-17", "volume-17", "17"),
        ("p0_label_map", "p0", "p0"),
        ("ADC_map", "ADC_map", "ADC_map"),
        ("sub-01_ses-mask_T1w", "sub-01_ses-mask_T1w", "sub-01_ses-mask"),
        ("p-1_mask_2", "p-1_2", "p-1_2"),
        ("segmentation", "", ""),
    ],
)
def test_what_is_left_of_a_name(stem, bare, core):
    assert (without_label_words(stem), core_of(stem)) == (bare, core)
