"""How many images a second are imported, from each form of source?

    python tests/benchmarks/imports.py [--images 10000] [--size 224] [--folder FOLDER]

Makes up smooth JPEGs of eight classes, lays them out in five forms and imports each with the
command of the package, alone in a process of its own. Beside them stands what reading and decoding
the same files takes with as many threads and nothing else done: what no import can be quicker than.
Draws the contact sheet of the first import.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainables.data.builtin.galaxies import CLASSES
from trainables.data.decode import decode

SPLITS = {"train": 0.64, "valid": 0.16, "test": 0.2}


def jpeg(index: int, size: int) -> bytes:
    """A smooth image whose colours depend on its class, and some grain."""
    rng = np.random.default_rng(index)
    coarse = rng.integers(40, 160, (6, 6, 3))
    coarse[..., label_of(index) % 3] += 10 * (label_of(index) + 1)
    smooth = Image.fromarray(coarse.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (size, size, 1))
    pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=91)
    return buffer.getvalue()


def label_of(index: int) -> int:
    return index % len(CLASSES)


def split_of(index: int, images: int) -> str:
    ends = np.cumsum(list(SPLITS.values())) * images
    return list(SPLITS)[int(np.searchsorted(ends, index, side="right"))]


def folder(root: Path, images: list[bytes]) -> tuple[Path, list[str]]:
    for index, encoded in enumerate(images):
        path = root / CLASSES[label_of(index)] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded)
    return root, []


def table(root: Path, images: list[bytes]) -> tuple[Path, list[str]]:
    root.mkdir()
    rows = ["id,label"]
    for index, encoded in enumerate(images):
        (root / f"{index}.jpg").write_bytes(encoded)
        rows.append(f"{index},{CLASSES[label_of(index)]}")
    (root.parent / "labels.csv").write_text("\n".join(rows))
    return root, ["--labels", str(root.parent / "labels.csv")]


def huggingface(root: Path, images: list[bytes]) -> tuple[Path, list[str]]:
    root.mkdir()
    names = {"label": {"_type": "ClassLabel", "names": list(CLASSES)}}
    schema = pa.schema(
        {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()},
        metadata={"huggingface": json.dumps({"info": {"features": names}})},
    )
    for split in SPLITS:
        members = [i for i in range(len(images)) if split_of(i, len(images)) == split]
        columns = {
            "image": [{"bytes": images[i], "path": None} for i in members],
            "label": [label_of(i) for i in members],
        }
        path = root / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.table(columns, schema=schema), path, row_group_size=100)
    return root, []


def galaxy_zoo(root: Path, images: list[bytes]) -> tuple[Path, list[str]]:
    root.mkdir()
    rows = {split: ["galaxyID,label1"] for split in SPLITS}
    with zipfile.ZipFile(root / "images_gz2.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for index, encoded in enumerate(images):
            archive.writestr(f"images/{index}.jpg", encoded)
            rows[split_of(index, len(images))].append(f"{index},{label_of(index)}")
    for split, lines in rows.items():
        (root / f"gz2_{split}.csv").write_text("\n".join(lines))
    return root / "images_gz2.zip", []


def arrays(root: Path, images: list[bytes]) -> tuple[Path, list[str]]:
    root.mkdir()
    with Image.open(io.BytesIO(images[0])) as first:
        shape = (len(images), first.height, first.width, 3)
    mapped = np.lib.format.open_memmap(root / "images.npy", "w+", np.uint8, shape)
    for index, encoded in enumerate(images):
        with Image.open(io.BytesIO(encoded)) as image:
            mapped[index] = np.asarray(image)
    mapped.flush()
    np.save(root / "labels.npy", np.arange(len(images)) % len(CLASSES))
    return root, ["--classes", *CLASSES]


FORMS = (folder, table, huggingface, galaxy_zoo, arrays)


def decoding_seconds(files: list[Path]) -> float:
    """Reading and decoding files with as many threads as there are cores, and nothing else."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(lambda path: decode(path.read_bytes(), 8), files):
            pass
    return time.perf_counter() - start


def import_seconds(name: str, source: Path, home: Path, more: list[str]) -> float:
    command = [sys.executable, "-m", "trainables.data", "import", str(source), "--to", name]
    start = time.perf_counter()
    subprocess.run([*command, "--home", str(home), *more], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--folder", type=Path, help="where the data sets stay (default: nowhere)")
    given = parser.parse_args()
    work = given.folder or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        make = partial(jpeg, size=given.size)
        images = list(pool.map(make, range(given.images), chunksize=100))
    mean = sum(map(len, images)) / len(images)
    cores = len(os.sched_getaffinity(0))
    print(f"{len(images):,} JPEGs of {given.size} px, {mean / 1e3:.1f} kB each, {cores} cores")
    try:
        for form in FORMS:
            source, more = form(work / "source", images)
            name = f"from-{form.__name__}"
            seconds = import_seconds(name, source, work / "home", more)
            print(f"{form.__name__:12} {seconds:6.1f} s {len(images) / seconds:7.0f} images/s")
            if form is folder:
                seconds = decoding_seconds(sorted(source.rglob("*.jpg")))
                print(f"{'decode only':12} {seconds:6.1f} s {len(images) / seconds:7.0f} images/s")
            shutil.rmtree(work / "source")
        show = [sys.executable, "-m", "trainables.data", "show", f"from-{folder.__name__}"]
        subprocess.run([*show, "--home", str(work / "home")], check=True)
    finally:
        if given.folder is None:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
