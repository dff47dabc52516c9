"""What a note of other people may do in a reader's browser."""

from sqrtscale.ui.notes import without_images


def test_a_note_fetches_nothing():
    assert without_images("see ![a](https://example.com/a.png) and [b](https://example.com)") == (
        "see [a](https://example.com/a.png) and [b](https://example.com)")
    assert "![" not in without_images("!![[![x](y)")
