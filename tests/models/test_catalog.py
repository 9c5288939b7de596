"""The catalog: shipped artifacts match it, and damaged ones are not opened."""

import json
import shutil

import pytest

from models.catalog import (
    CATALOG_FILE,
    REASON_LENGTH,
    SHIPPED,
    CatalogError,
    describe,
    read_catalog,
    read_valid_entries,
    register,
    resampled_db,
    verified,
    write_catalog,
)
from models.strength import strength_of_quality


@pytest.fixture
def folder(tmp_path):
    """A private copy of the shipped models."""
    return shutil.copytree(SHIPPED, tmp_path / "models")


def test_every_shipped_artifact_is_what_the_catalog_promises():
    catalog = read_catalog()
    assert catalog.default in catalog.names
    for model in catalog.models:
        for artifact in model.artifacts:
            assert verified(SHIPPED, artifact).stat().st_size == artifact.bytes


def test_every_shipped_model_has_a_card_and_measured_quality():
    for model in read_catalog().models:
        card = SHIPPED / f"{model.name}.md"
        assert card.is_file(), f"{model.name} has no model card"
        for width in model.widths:
            for scale in (2.0, 3.0, 4.0):
                if scale > model.max_scale:
                    continue
                pair = width.width, scale
                measured = {q.psnr_y for q in model.quality if (q.width, q.scale) == pair}
                assert measured
                assert all(f"{value:.2f}" in card.read_text() for value in measured)
                # The service chooses models by their quality.
                assert model.expected_db(*pair) is not None or not model.in_ladder


BICUBIC_DB = 33.67
"""Of Set5 at x2, by `anysr evaluate bicubic`."""


def test_every_network_for_clean_pictures_is_far_above_bicubic():
    for model in read_catalog().models:
        if model.in_ladder or model.on_demand:
            x2 = [q for q in model.quality if (q.dataset, q.scale, q.width) == ("Set5", 2.0, 1.0)]
            assert x2, model.name
            assert all(q.psnr_y >= BICUBIC_DB + 2 for q in x2), model.name


def test_quality_is_interpolated_between_scales_and_held_beyond():
    model = read_catalog().get("anysr-s")
    at = [model.expected_db(1.0, scale) for scale in (2.0, 2.5, 3.0, 4.0, 8.0)]
    known = [db for db in at if db is not None]
    assert len(known) == len(at)
    assert known == sorted(known, reverse=True)
    quality = tuple(q for q in model.quality if q.scale in (2.0, 4.0))
    partial = model.model_copy(update={"quality": quality})
    near, far = partial.expected_db(1.0, 2.0), partial.expected_db(1.0, 4.0)
    assert near is not None
    assert far is not None
    gains = near - resampled_db(2.0), far - resampled_db(4.0)
    middle = resampled_db(3.0) + sum(gains) / 2
    assert partial.expected_db(1.0, 3.0) == pytest.approx(middle, abs=0.011)
    assert partial.expected_db(1.0, 8.0) == pytest.approx(resampled_db(8.0) + gains[1], abs=0.011)
    assert model.model_copy(update={"quality": ()}).expected_db(1.0, 2.0) is None


def test_a_damaged_artifact_is_not_opened(folder):
    artifact = read_catalog(folder).get("anysr-s").weights
    path = folder / artifact.file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CatalogError, match="checksum"):
        verified(folder, artifact)
    path.unlink()
    with pytest.raises(CatalogError, match="missing"):
        verified(folder, artifact)


def test_an_artifact_must_be_a_plain_file_name(folder):
    artifact = describe(folder / "catalog.json").model_copy(update={"file": "../secret"})
    with pytest.raises(CatalogError, match="plain file name"):
        verified(folder, artifact)


def test_entering_a_model_replaces_one_of_the_same_name(folder):
    before = read_catalog(folder)
    changed = before.get("anysr-s").model_copy(update={"description": "other"})
    after = register(folder, changed)
    assert after == read_catalog(folder)
    assert after.names == before.names
    assert after.get("anysr-s").description == "other"
    assert after.default == before.default


def test_the_first_model_of_a_folder_is_its_default(tmp_path):
    model = read_catalog().get("anysr-s")
    assert register(tmp_path, model).default == "anysr-s"


def test_a_catalog_that_is_missing_or_wrong_raises(folder, tmp_path):
    with pytest.raises(CatalogError, match="cannot read"):
        read_catalog(tmp_path / "nowhere")
    data = json.loads((folder / "catalog.json").read_text())
    data["surprise"] = 1
    (folder / "catalog.json").write_text(json.dumps(data))
    with pytest.raises(CatalogError, match="surprise"):
        read_catalog(folder)


def test_an_unknown_model_or_width_is_a_key_error():
    catalog = read_catalog()
    with pytest.raises(KeyError):
        catalog.get("esrgan")
    with pytest.raises(KeyError):
        catalog.get("anysr-s").at(0.33)


def test_writing_keeps_every_fact(folder):
    catalog = read_catalog()
    write_catalog(folder, catalog)
    assert read_catalog(folder) == catalog


def edited(folder, change):
    content = json.loads((folder / CATALOG_FILE).read_text())
    change(content)
    (folder / CATALOG_FILE).write_text(json.dumps(content))


def test_what_is_good_is_read_beside_what_is_not(folder):
    entry = json.loads((folder / CATALOG_FILE).read_text())["models"][0]
    edited(folder, lambda content: content["models"].extend([entry, {"name": "bare"}, 7]))
    reading = read_valid_entries(folder)
    assert reading.catalog == read_catalog()
    nameless = f"models[{len(reading.catalog.models) + 2}]"
    assert set(reading.broken) == {entry["name"], "bare", nameless}
    assert "more than once" in reading.broken[entry["name"]]
    assert "description: Field required" in reading.broken["bare"]
    assert all(len(reason) <= REASON_LENGTH for reason in reading.broken.values())


def test_a_broken_entry_is_replaced_by_the_running_one(folder):
    running = read_catalog()
    edited(folder, lambda content: content["models"][0].update(widths=[]))
    assert running.models[0].name not in read_valid_entries(folder).catalog.names
    reading = read_valid_entries(folder, running)
    assert reading.catalog == running
    assert "narrowest first" in reading.broken[running.models[0].name]


@pytest.mark.parametrize(("halo", "rim"), [(5, 6), (5, -1), (None, 49)])
def test_a_rim_beyond_the_halo_or_the_context_is_invalid(folder, halo, rim):
    edited(folder, lambda content: content["models"][0].update(halo=halo, rim=rim))
    assert "rim" in read_valid_entries(folder).broken[read_catalog().models[0].name]


def test_a_missing_default_is_replaced(folder):
    running = read_catalog()
    edited(folder, lambda content: content.update(default="none"))
    for before, default in ((None, running.names[0]), (running, running.default)):
        reading = read_valid_entries(folder, before)
        assert reading.catalog.default == default
        assert "'none'" in reading.broken[CATALOG_FILE]


def test_a_catalog_without_a_model_is_an_error(folder):
    edited(folder, lambda content: content.update(models=[]))
    with pytest.raises(CatalogError, match="lists none"):
        read_valid_entries(folder, read_catalog())


def test_an_entered_network_is_no_longer_untrained(folder):
    catalog = read_catalog(folder)
    entry = catalog.get("anysr-s").model_copy(update={"name": "edsr-srno", "on_demand": True})
    assert {"edsr-srno", "rdn-srno"} <= set(catalog.untrained)
    after = register(folder, entry)
    assert after.untrained == tuple(name for name in catalog.untrained if name != "edsr-srno")
    assert after.on_demand("edsr-srno")
    assert not after.on_demand("anysr-s")
    assert not after.on_demand("rdn-srno")
    assert read_valid_entries(folder).catalog == after


def test_a_list_of_untrained_networks_is_read_and_no_longer_written(folder):
    catalog = read_catalog(folder)
    edited(folder, lambda content: content.update(untrained=["heavy"]))
    assert read_catalog(folder) == read_valid_entries(folder).catalog == catalog
    assert "heavy" not in read_catalog(folder).untrained
    write_catalog(folder, read_catalog(folder))
    assert "untrained" not in json.loads((folder / CATALOG_FILE).read_text())


@pytest.mark.parametrize("network", [{"name": "plain", "args": {}, "more": 1}, {"args": {}}])
def test_a_network_that_is_not_a_spec_is_invalid(folder, network):
    edited(folder, lambda content: content["models"][0].update(network=network))
    assert "network" in read_valid_entries(folder).broken[read_catalog().models[0].name]


def test_quality_is_interpolated_between_strengths():
    model = read_catalog().get("anysr-s")
    clean = [q for q in model.quality if q.dataset == "B100" and q.scale == 2]
    damaged = [
        q.model_copy(update={"dataset": f"B100-jpeg{quality}", "psnr_y": q.psnr_y - loss})
        for q in clean
        for quality, loss in ((75, 3.0), (50, 4.0))
    ]
    other = [q.model_copy(update={"dataset": "B100-noise", "psnr_y": 1.0}) for q in clean]
    model = model.model_copy(update={"quality": (*clean, *damaged, *other)})
    at = {s: model.expected_db(1.0, 2.0, s) for s in (0.0, strength_of_quality(75), 1.0)}
    first, middle, last = at.values()
    assert first is not None
    assert middle == pytest.approx(first - 3, abs=0.011)
    assert last == pytest.approx(first - 4, abs=0.011)  # held beyond what was measured
    between = model.expected_db(1.0, 2.0, strength_of_quality(75) / 2)
    assert between == pytest.approx(first - 1.5, abs=0.011)


def test_a_width_may_be_given_to_two_decimals():
    model = read_catalog().get("anysr-s")
    thirds = tuple(
        entry.model_copy(update={"width": width})
        for entry, width in zip(model.widths, (1 / 3, 1 / 2, 2 / 3, 1.0), strict=True)
    )
    model = model.model_copy(update={"widths": thirds})
    assert [model.at(width).width for width in (0.33, 0.5, 0.67, 1)] == [w.width for w in thirds]
    for wrong in (0.3, 0.34, 0.6, 0.99):
        with pytest.raises(KeyError):
            model.at(wrong)
