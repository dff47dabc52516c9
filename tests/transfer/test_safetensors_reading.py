"""Files that the safetensors library writes, read without it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from sqrtscale.rules import FieldError
from sqrtscale.transfer.checkpoint.safetensors import TYPES, read_safetensors

SHAPES = st.lists(st.integers(0, 4), max_size=3)
TABLES = st.dictionaries(st.text("abc.é", min_size=1, max_size=9), st.tuples(SHAPES, st.sampled_from(sorted(TYPES))), max_size=5)


@given(TABLES)
def test_every_type_and_shape_is_read_as_it_was(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("safetensors") / "a.safetensors"
    tensors = {name: (100 * torch.rand(shape)).to(TYPES[kind]) for name, (shape, kind) in table.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    read = read_safetensors(path)
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor)


@pytest.mark.parametrize("data", [b"", b"\x02", (2**60).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]",
                                  (2).to_bytes(8, "little") + b"{!"], ids=["empty", "short", "long table", "no table", "no JSON"])
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(FieldError, match="is no safetensors file, or a damaged one"):
        read_safetensors(path)


def test_tensors_that_do_not_lie_in_the_file_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(8)}, path)
    whole = path.read_bytes()
    for damaged in (whole[:-4], whole.replace(b'"shape":[8]', b'"shape":[9]'), whole.replace(b'"F32"', b'"X32"')):
        path.write_bytes(damaged)
        with pytest.raises(FieldError, match="is no safetensors file, or a damaged one"):
            read_safetensors(path)
