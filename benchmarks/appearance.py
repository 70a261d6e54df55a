"""Learn the linear map of ``faces/appearance.py`` from portraits, and measure whom it mistakes.

    python benchmarks/appearance.py PORTRAITS GRID [--write FILE]

Every portrait is one person, seen many times under changes of light, pose, sharpness and landmarks
that are made up. Measured is on portraits that were held out, and on the speakers of GRID, of which
none is learnt from: the same person in different clips against different persons. Three speakers
appear in two folders each, on different days and in other clothes: ``SAME`` says which.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path, write_tensors
from lipwright.faces import Mtcnn, crop_box, crop_face, widen
from lipwright.faces.appearance import APPEARANCE_LENGTH, VIEW_MARGIN, VIEW_SIZE, gradients
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import EYE_CORNERS, GROUPS
from lipwright.media import read_frames

SAME = {"GRID_lwbsza": "s4", "GRID_swiz3n": "s26", "id2_vcd_swwp2s": "GRID_pwij3p"}
NUM_LEARNT = 300  # portraits; the others are held out
CLIPS_OF_EACH = 3  # folder of GRID, so that no speaker outweighs the others
NUM_LOOKS = 14  # made up of each portrait
WIDE = 2.0  # of the crop rule: room to turn
WIDE_SIZE = 192  # pixels of it
RIDGE = 0.1  # of the mean spread within a person
PRINCIPAL = 300  # components that are kept before the discriminants
PLACES = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)

Look = tuple[NDArray[np.uint8], NDArray[np.float32]]


def main() -> None:
    """Learn, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("portraits", type=Path)
    parser.add_argument("grid", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    eyes = Mtcnn(min_face=0.15), Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)
    looks = [
        look for file in sorted(arguments.portraits.glob("*.jpg")) if (look := still(file, eyes))
    ]
    order = rng.permutation(len(looks))
    learnt, held_out = (
        [looks[i] for i in part] for part in (order[:NUM_LEARNT], order[NUM_LEARNT:])
    )
    features, people = made_up(learnt, NUM_LOOKS, rng)
    mean, columns = discriminants(features, people)
    if arguments.write:
        about = {"learnt from": f"{len(learnt)} portraits of members of the US Congress"}
        halves = {"mean": mean.astype(np.float16), "columns": columns.astype(np.float16)}
        write_tensors(arguments.write, halves, about)

    def mapped(features: NDArray[np.float32]) -> NDArray[np.float32]:
        found = (features - mean) @ columns
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    features, people = made_up(held_out, 4, rng)
    looks_apart = np.arange(len(people))
    report("portraits, made-up looks", mapped(features), people, looks_apart)
    seen, people, clips = speakers(arguments.grid, eyes)
    plain = mapped(np.stack([described(look) for look in seen]))
    report("GRID, other clips", plain, people, clips)
    changed = mapped(np.stack([described(changed_look(look, rng)) for look in seen]))
    # As in use: a person who was looked at several times is looked for in another light.
    names, place = np.unique(clips, return_inverse=True)
    known = np.stack([plain[place == at].mean(axis=0) for at in range(len(names))])
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    who = np.array([people[place == at][0] for at in range(len(names))])
    for name, looks in (("as it is", plain), ("made up", changed)):
        pairs = known @ looks.T, who[:, None] == people, names[:, None] != clips
        tell(f"GRID, a known person and one look, {name}", *pairs)


def still(file: Path, eyes: tuple[Mtcnn, Landmarker]) -> Look | None:
    """The face of a portrait."""
    picture = cv2.imread(str(file))[..., ::-1]
    scale = min(1.0, 500 / picture.shape[0])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return look_at(
        np.ascontiguousarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)), eyes
    )


def look_at(picture: NDArray[np.uint8], eyes: tuple[Mtcnn, Landmarker]) -> Look | None:
    """The largest face of a picture: what is around it, and its landmarks there."""
    detector, landmarker = eyes
    found = max(detector.detect(picture), key=lambda d: d.box[2] - d.box[0], default=None)
    if found is None:
        return None
    box = crop_box(found.landmarks)
    wide = widen(box, WIDE)
    points = landmarker.find(picture, box).points
    scale = WIDE_SIZE / (wide[2:] - wide[:2])
    return crop_face(picture, wide, size=WIDE_SIZE), (points - wide[:2]) * scale


def speakers(grid: Path, eyes: tuple[Mtcnn, Landmarker]) -> tuple[list[Look], NDArray, NDArray]:
    """Three looks at each clip: who, and in which clip."""
    looks, people, clips = [], [], []
    rng = np.random.default_rng(1)
    for folder in sorted(grid.iterdir()):
        files = sorted(folder.glob("*.mkv"))
        for file in [files[i] for i in rng.permutation(len(files))[:CLIPS_OF_EACH]]:
            person = file.stem if folder.name == "mixed" else folder.name
            for index, frame in enumerate(read_frames(file)):
                if index in (5, 35, 65) and (look := look_at(frame.pixels, eyes)):
                    looks.append(look)
                    people.append(SAME.get(person, person))
                    clips.append(file.stem)
    return looks, np.array(people), np.array(clips)


def described(look: Look) -> NDArray[np.float32]:
    """Gradients of a look, cut as they are in use."""
    picture, points = look
    edge = WIDE_SIZE * (1 - VIEW_MARGIN / WIDE) / 2
    box = np.array([edge, edge, WIDE_SIZE - edge, WIDE_SIZE - edge], dtype=np.float32)
    scale = VIEW_SIZE / (WIDE_SIZE - 2 * edge)
    return gradients(crop_face(picture, box, size=VIEW_SIZE), (points - edge) * scale)


def made_up(looks: list[Look], num: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Gradients of looks as they are and changed, and whose they are."""
    features, people = [], []
    for person, look in enumerate(looks):
        every = [look] + [changed_look(look, rng) for _ in range(num)]
        features += [described(one) for one in every]
        people += [person] * len(every)
    return np.stack(features), np.array(people)


def changed_look(look: Look, rng: np.random.Generator) -> Look:
    """Another pose, another light, another camera."""
    picture, points = turned(look, rng)
    size = picture.shape[0]
    light = picture.astype(np.float32) / 255
    down, across = np.mgrid[0:size, 0:size] / size - 0.5
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.8)
    light *= (1 + slope * (across * np.cos(angle) + down * np.sin(angle)))[..., None]
    light = np.clip(light, 0, 1) ** rng.uniform(0.65, 1.5)
    light = light * rng.uniform(0.6, 1.2) * np.exp(rng.normal(0, 0.06, 3))
    num = int(rng.integers(45, 170))
    small = cv2.resize(np.clip(light, 0, 1), (num, num), interpolation=cv2.INTER_AREA)
    small = np.clip(255 * small + rng.normal(0, 3, small.shape), 0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
    seen = cv2.resize(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), (size, size))
    apart = float(np.linalg.norm(points[EYE_CORNERS[0]] - points[EYE_CORNERS[1]]))
    points = points + rng.normal(0, 0.015 * apart, points.shape)
    for eye in ("left_eye", "right_eye"):
        points[list(GROUPS[eye])] += rng.normal(0, 0.02 * apart, 2)
    return seen, points.astype(np.float32)


def turned(look: Look, rng: np.random.Generator) -> Look:
    """Turn a head as if it were an ellipsoid with a nose, and tilt the camera."""
    picture, points = look
    eyes = [points[list(GROUPS[eye])].mean(axis=0) for eye in ("left_eye", "right_eye")]
    apart = float(np.linalg.norm(eyes[1] - eyes[0]))
    middle = (eyes[0] + eyes[1]) / 2 + (0, 0.3 * apart)
    nose = points[GROUPS["nose"][5]]
    yaw, pitch = np.radians(rng.normal(0, (13, 8)))

    def moved(places: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = ((places - middle) / apart / (1.15, 1.6)).transpose(2, 0, 1)
        depth = 1.1 * np.sqrt(np.clip(1 - x**2 - y**2, 0.05, 1))
        away = ((places - nose) ** 2).sum(axis=-1) / (0.28 * apart) ** 2
        depth = depth + 0.3 * np.exp(-away) - 1.0
        shift = apart * np.stack([depth * np.sin(yaw), depth * np.sin(pitch)], axis=-1)
        return shift + (places - middle) * (np.cos(yaw) - 1, np.cos(pitch) - 1)

    places = np.moveaxis(np.mgrid[0:WIDE_SIZE, 0:WIDE_SIZE][::-1].astype(np.float64), 0, -1)
    source = places.copy()
    for _ in range(4):  # to where a pixel comes from, by going back what it moves
        source = places - moved(source)
    picture = cv2.remap(
        picture, source.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return picture, points + moved(points[None].astype(np.float64))[0]


def discriminants(features: NDArray, people: NDArray) -> tuple[NDArray, NDArray]:
    """Mean, and the map after which people lie apart and looks at one of them together."""
    mean = features.mean(axis=0)
    centred = (features - mean).astype(np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    principal = vectors[:, ::-1][:, :PRINCIPAL]
    centred = centred @ principal
    middles = np.stack([centred[people == person].mean(axis=0) for person in np.unique(people)])
    within = centred - middles[people]
    within = within.T @ within / len(within)
    within += RIDGE * np.trace(within) / PRINCIPAL * np.eye(PRINCIPAL)
    values, vectors = np.linalg.eigh(within)
    white = vectors / np.sqrt(values)
    _, vectors = np.linalg.eigh(white.T @ np.cov(middles.T) @ white)
    columns = principal @ white @ vectors[:, ::-1][:, :APPEARANCE_LENGTH]
    return mean.astype(np.float32), columns.astype(np.float32)


def report(name: str, seen: NDArray, people: NDArray, clips: NDArray) -> None:
    """Print how often two looks are told to be of one person."""
    first, second = np.triu_indices(len(seen), 1)
    alike = (seen[first] * seen[second]).sum(axis=1)
    tell(name, alike, people[first] == people[second], clips[first] != clips[second])


def tell(name: str, alike: NDArray, is_same: NDArray, is_other_clip: NDArray) -> None:
    """Print how likeness parts pairs of one person from pairs of two."""
    same, other = alike[is_same & is_other_clip], np.sort(alike[~is_same])
    auc = (np.searchsorted(other, same) / len(other)).mean()
    print(f"{name}: {len(same)} pairs of one person, {len(other)} of two, AUC {auc:.4f}")
    for place in PLACES:
        missed, mistaken = (same < place).mean(), (other >= place).mean()
        print(f"  from {place:.2f}: missed {missed:.4f} mistaken {mistaken:.4f}", flush=True)


if __name__ == "__main__":
    main()
