"""Parquet files and saved folders as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dcgan.config.dataset import Dataset
from dcgan.data.image_set import DataError, ImageSet
from dcgan.data.loading import load_images
from tests.support.png import png

pytestmark = pytest.mark.usefixtures("cache_folder")

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
LABELS = [0, 1, 1, 0, 1, 0, 1]
FEATURES = {
    "info": {
        "features": {
            "img": {"_type": "Image"},
            "kind": {"_type": "ClassLabel", "names": ["airplane", "bird"]},
        }
    }
}


def write(file: Path, pixels: np.ndarray, labels: list[int], metadata: object = FEATURES) -> None:
    cells = [{"bytes": png(image), "path": f"{n}.png"} for n, image in enumerate(pixels)]
    table = pyarrow.table({"img": cells, "kind": labels})
    noted = {b"huggingface": json.dumps(metadata).encode()} if metadata else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(noted), file, row_group_size=3)


def load(path: Path, **settings: object) -> ImageSet:
    form = {"name": "folder", "path": str(path), "image_size": 32, **settings}
    return load_images(Dataset.model_validate(form))


def test_images_and_labels_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "images.parquet", PIXELS, LABELS)
    images = load(tmp_path / "images.parquet")
    assert (images.pixels.numpy() == PIXELS.transpose(0, 3, 1, 2)).all(), "over three row groups"
    assert images.card.classes == ("airplane", "bird")
    assert images.labels is not None
    assert images.labels.tolist() == LABELS


def test_splits_of_a_folder_are_told_apart(tmp_path: Path) -> None:
    data = tmp_path / "set" / "data"
    write(data / "train-00000-of-00002.parquet", PIXELS[:3], LABELS[:3])
    write(data / "train-00001-of-00002.parquet", PIXELS[3:5], LABELS[3:5])
    write(data / "test-00000-of-00001.parquet", PIXELS[5:], LABELS[5:])
    expected = PIXELS.transpose(0, 3, 1, 2)
    assert (load(tmp_path / "set").pixels.numpy() == expected[:5]).all()
    assert (load(tmp_path / "set", split="test").pixels.numpy() == expected[5:]).all()
    assert load(tmp_path / "set", split="all").card.size == 7
    (data / "test-00000-of-00001.parquet").rename(data / "validation-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"no split 'test'\. There are: train, validation"):
        load(tmp_path / "set", split="test")


def test_without_names_of_classes_they_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    cells = [png(image) for image in PIXELS]
    parquet.write_table(pyarrow.table({"image": cells, "label": LABELS}), file)
    assert load(file).card.classes == ("0", "1")


def test_other_columns_and_classes_of_datasets_may_be_of_any_form(tmp_path: Path) -> None:
    features = FEATURES["info"]["features"]
    captions = {"captions": [{"dtype": "string", "_type": "Value"}]}
    write(tmp_path / "a.parquet", PIXELS, LABELS, {"info": {"features": features | captions}})
    assert load(tmp_path / "a.parquet").card.classes == ("airplane", "bird")
    for names in (None, ["airplane"]):
        kind = {"kind": {"_type": "ClassLabel", "names": names}}
        write(tmp_path / "a.parquet", PIXELS, LABELS, {"info": {"features": features | kind}})
        assert load(tmp_path / "a.parquet").card.classes == ("0", "1")


def test_large_numbers_without_names_are_no_classes(tmp_path: Path) -> None:
    cells = [{"bytes": png(image), "path": ""} for image in PIXELS]
    for largest, count in ((2**40, 0), (999, 1_000)):
        table = pyarrow.table({"img": cells, "label": [0, 1, 2, 3, 4, 5, largest]})
        parquet.write_table(table, tmp_path / "a.parquet")
        assert len(load(tmp_path / "a.parquet").card.classes) == count


def test_columns_that_a_file_lacks_are_not_used(tmp_path: Path) -> None:
    cells = [{"bytes": png(image), "path": ""} for image in PIXELS]
    (tmp_path / "set").mkdir()
    with_labels = pyarrow.table({"img": cells[:3], "label": LABELS[:3]})
    parquet.write_table(with_labels, tmp_path / "set" / "train-0.parquet")
    parquet.write_table(pyarrow.table({"img": cells[3:]}), tmp_path / "set" / "train-1.parquet")
    images = load(tmp_path / "set")
    assert (images.card.size, images.labels) == (len(PIXELS), None)


def test_a_folder_that_is_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "images.parquet" / "part-0.parquet", PIXELS, LABELS)
    assert load(tmp_path).card.size == len(PIXELS)


def test_a_table_without_rows_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", PIXELS, LABELS)
    table = parquet.read_table(tmp_path / "a.parquet").slice(0, 0)
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds no images"):
        load(tmp_path / "a.parquet")


def test_labels_that_are_not_given_are_none(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", PIXELS, [-1] * 7)
    assert load(tmp_path / "a.parquet").labels is None


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "text.parquet")
    parquet.write_table(
        pyarrow.table({"image": [png(PIXELS[0]), b"no picture"]}), tmp_path / "half.parquet"
    )
    for name, said in (
        ("damaged.parquet", "cannot be read"),
        ("text.parquet", "Its columns are: text"),
        ("half.parquet", "row 1 of image"),
    ):
        with pytest.raises(DataError, match=said):
            load(tmp_path / name)


def table(pixels: np.ndarray, labels: list[int]) -> pyarrow.Table:
    cells = [{"bytes": png(image), "path": None} for image in pixels]
    noted = {b"huggingface": json.dumps(FEATURES).encode()}
    return pyarrow.table({"img": cells, "kind": labels}).replace_schema_metadata(noted)


def save_to_disk(folder: Path, *parts: pyarrow.Table) -> None:
    """As `Dataset.save_to_disk` of `datasets` does: streams of Arrow, and two files of JSON."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(parts):05d}.arrow" for n in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with pyarrow.ipc.new_stream(folder / name, part.schema) as stream:
            stream.write_table(part, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_split": folder.name}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps(FEATURES["info"]))


def test_a_saved_dataset_in_several_files(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "set", table(PIXELS[:5], LABELS[:5]), table(PIXELS[5:], LABELS[5:]))
    images = load(tmp_path / "set")
    assert (images.pixels.numpy() == PIXELS.transpose(0, 3, 1, 2)).all()
    assert images.card.classes == ("airplane", "bird")
    assert images.labels is not None
    assert images.labels.tolist() == LABELS


def test_the_splits_of_a_saved_dataset(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "set" / "train", table(PIXELS[:4], LABELS[:4]))
    save_to_disk(tmp_path / "set" / "validation", table(PIXELS[4:], LABELS[4:]))
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    expected = PIXELS.transpose(0, 3, 1, 2)
    assert (load(tmp_path / "set").pixels.numpy() == expected[:4]).all()
    assert (load(tmp_path / "set", split="validation").pixels.numpy() == expected[4:]).all()
    assert load(tmp_path / "set", split="all").card.size == 7
    with pytest.raises(DataError, match=r"no split 'test'\. There are: train, validation"):
        load(tmp_path / "set", split="test")


def test_a_saved_dataset_that_is_damaged(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "set", table(PIXELS, LABELS))
    state = tmp_path / "set" / "state.json"
    whole = state.read_text()
    for text, said in (
        ("{}", "_data_files"),
        (whole.replace("data-", "../data-"), "outside of it"),
        (whole.replace("data-00000", "data-00009"), "No such file"),
        ("no JSON", "cannot be read as a folder of `datasets`"),
    ):
        state.write_text(text)
        with pytest.raises(DataError, match=said):
            load(tmp_path / "set")


def test_splits_may_be_folders_of_numbered_files(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train" / "0000.parquet", PIXELS[:4], LABELS[:4])
    write(tmp_path / "set" / "validation" / "0000.parquet", PIXELS[4:], LABELS[4:])
    assert load(tmp_path / "set").card.size == 4
    assert load(tmp_path / "set", split="validation").card.size == 3


@pytest.mark.parametrize("kind", ["parquet", "saved"])
def test_rows_that_name_files(tmp_path: Path, kind: str) -> None:
    """As `datasets` leaves them where images are not embedded."""
    folder = tmp_path / "set"
    names = [f"pictures/{number}.png" for number in range(7)]

    def save(paths: list[str]) -> None:
        cells = pyarrow.array(
            [{"bytes": None, "path": path} for path in paths],
            pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}),
        )
        rows = pyarrow.table({"img": cells, "label": LABELS})
        if kind == "saved":
            save_to_disk(folder, rows)
        else:
            folder.mkdir(parents=True)
            parquet.write_table(rows, folder / "train.parquet", row_group_size=2)

    save(names)
    (folder / "pictures").mkdir()
    for name, image in zip(names, PIXELS, strict=True):
        (folder / name).write_bytes(png(image))
    path = folder if kind == "saved" else folder / "train.parquet"
    images = load(path)
    assert (images.pixels.numpy() == PIXELS.transpose(0, 3, 1, 2)).all()
    assert images.labels is not None
    assert images.labels.tolist() == LABELS
    shutil.rmtree(folder)
    save(["../outside.png", *names[1:]])
    with pytest.raises(DataError, match=r"row 0 names the file '\.\./outside\.png'"):
        load(path)
