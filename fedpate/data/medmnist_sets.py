"""The eleven single-label sets of MedMNIST v2 with images in two dimensions.

ChestMNIST is not among them: an image has any number of its 14 findings, and a vote is for one
class. RetinaMNIST's grades are taken as five classes without an order.
"""

from dataclasses import dataclass
from typing import ClassVar

from fedpate.data.medmnist import MedMnist

_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


@dataclass(frozen=True)
class BloodMnist(MedMnist):
    """Microscopy of blood cells: 17,092 colour images, eight kinds."""

    name: ClassVar[str] = "bloodmnist"
    channels: ClassVar[int] = 3
    class_names: ClassVar[tuple[str, ...]] = (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocyte",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    )


@dataclass(frozen=True)
class BreastMnist(MedMnist):
    """Breast ultrasound: 780 images, malignant or not."""

    name: ClassVar[str] = "breastmnist"
    class_names: ClassVar[tuple[str, ...]] = ("malignant", "normal or benign")


@dataclass(frozen=True)
class DermaMnist(MedMnist):
    """Dermatoscopy: 10,015 colour images, seven kinds of pigmented lesions."""

    name: ClassVar[str] = "dermamnist"
    channels: ClassVar[int] = 3
    class_names: ClassVar[tuple[str, ...]] = (
        "actinic keratosis or intraepithelial carcinoma",
        "basal cell carcinoma",
        "benign keratosis-like lesion",
        "dermatofibroma",
        "melanoma",
        "melanocytic nevus",
        "vascular lesion",
    )


@dataclass(frozen=True)
class OctMnist(MedMnist):
    """Optical coherence tomography of the retina: 109,309 images, four diagnoses."""

    name: ClassVar[str] = "octmnist"
    class_names: ClassVar[tuple[str, ...]] = (
        "choroidal neovascularization",
        "diabetic macular edema",
        "drusen",
        "normal",
    )


@dataclass(frozen=True)
class OrganAMnist(MedMnist):
    """Abdominal CT, axial slices: about 58,800 images, eleven organs."""

    name: ClassVar[str] = "organamnist"
    class_names: ClassVar[tuple[str, ...]] = _ORGANS


@dataclass(frozen=True)
class OrganCMnist(MedMnist):
    """Abdominal CT, coronal slices: about 23,600 images, eleven organs."""

    name: ClassVar[str] = "organcmnist"
    class_names: ClassVar[tuple[str, ...]] = _ORGANS


@dataclass(frozen=True)
class OrganSMnist(MedMnist):
    """Abdominal CT, sagittal slices: about 25,200 images, eleven organs."""

    name: ClassVar[str] = "organsmnist"
    class_names: ClassVar[tuple[str, ...]] = _ORGANS


@dataclass(frozen=True)
class PathMnist(MedMnist):
    """Histology of colorectal cancer: 107,180 colour images, nine kinds of tissue."""

    name: ClassVar[str] = "pathmnist"
    channels: ClassVar[int] = 3
    class_names: ClassVar[tuple[str, ...]] = (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    )


@dataclass(frozen=True)
class PneumoniaMnist(MedMnist):
    """Chest X-rays of children: 5,856 images, normal or pneumonia."""

    name: ClassVar[str] = "pneumoniamnist"
    class_names: ClassVar[tuple[str, ...]] = ("normal", "pneumonia")


@dataclass(frozen=True)
class RetinaMnist(MedMnist):
    """Fundus photographs: 1,600 colour images, five grades of retinopathy taken as classes."""

    name: ClassVar[str] = "retinamnist"
    channels: ClassVar[int] = 3
    class_names: ClassVar[tuple[str, ...]] = ("0", "1", "2", "3", "4")


@dataclass(frozen=True)
class TissueMnist(MedMnist):
    """Microscopy of kidney cortex: 236,386 images, eight kinds of cells."""

    name: ClassVar[str] = "tissuemnist"
    class_names: ClassVar[tuple[str, ...]] = (
        "collecting duct or connecting tubule",
        "distal convoluted tubule",
        "glomerular endothelial cells",
        "interstitial endothelial cells",
        "leukocytes",
        "podocytes",
        "proximal tubule segments",
        "thick ascending limb",
    )


MEDMNIST = (
    BloodMnist,
    BreastMnist,
    DermaMnist,
    OctMnist,
    OrganAMnist,
    OrganCMnist,
    OrganSMnist,
    PathMnist,
    PneumoniaMnist,
    RetinaMnist,
    TissueMnist,
)
