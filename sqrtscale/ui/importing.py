"""A configuration from a file: pasted or uploaded, asked for what it lacks, put into the form, and patched again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from .. import formats
from ..formats import CHECKPOINTS, FORMATS, Imported, WhichFunction
from ..rules import FieldError, ScaledConfig
from ..rules.batch import Batch, ways_to
from . import forms, inputs
from .inputs import Inputs
from .tables import escaped, sentence

KEPT, PROBLEM, TEXT, UPLOAD, FORMAT = "imported", "import problem", "import text", "import upload", "import format"
FUNCTIONS, FUNCTION = "import functions", "import function"
BY_ITSELF = "Recognise it"
SUFFIXES = {"json": "json", "yaml": "yaml", "toml": "toml", "python": "py", "card": "md", "command": "sh"}


class Kept(NamedTuple):
    """The file as it came, what it says, and the answers to what it does not say."""

    text: str
    imported: Imported
    answers: dict[str, Any]


def show() -> None:
    """The button that opens the import, and below it what was read, until it is put aside."""
    with st.popover("Import a configuration", icon=":material/upload_file:", width="stretch"):
        st.caption(f"A configuration of one of {len(FORMATS)} programs, a command line, a model card or a .pt checkpoint: paste "
                   "it, or upload the file. It stays on this machine.")
        # A form holds its button back while a file is still on its way; a plain button would read the text instead.
        with st.form("import", border=False):
            st.text_area("Paste it here", key=TEXT, height=160, placeholder='{"learning_rate": 5e-5, ...}')
            st.file_uploader("Or upload a file", key=UPLOAD)
            st.selectbox("Format", [BY_ITSELF, *FORMATS], key=FORMAT, format_func=_label)
            st.form_submit_button("Read", type="primary", on_click=_read)
        if PROBLEM in st.session_state:
            st.error(sentence(st.session_state[PROBLEM]))
        if FUNCTIONS in st.session_state:
            st.selectbox("Which configuration?", st.session_state[FUNCTIONS], key=FUNCTION)
            st.button("Read this one", type="primary", on_click=_read)
        kept = st.session_state.get(KEPT)
        if kept and kept.imported.questions:
            _ask(kept.imported)
    kept = current()
    if kept:
        _about(kept.imported)


def current() -> Kept | None:
    """The imported file whose questions are answered, or None."""
    kept: Kept | None = st.session_state.get(KEPT)
    return kept if kept and all(
        question.field in kept.answers for question in kept.imported.questions if question.required) else None


def target_parts(scaled: ScaledConfig) -> Batch | None:
    """The target batch in parts: as typed, or reached with the per-device batch and devices of the base; None if unknown."""
    typed = inputs.batch_in_parts(forms.typed("b1"))
    if typed and typed.size == scaled.target_batch:
        return typed
    base = inputs.batch_in_parts(forms.typed("b0"))
    ways = ways_to(scaled.target_batch, base.per_device, base.devices) if base else ()
    return ways[-1] if ways else None


def patched(kept: Kept, scaled: ScaledConfig, parts: Batch | None) -> None:
    """The imported file with the scaled values in it, what changed, and what it has no field for."""
    new = formats.patch(kept.text, kept.imported, scaled, parts)
    for problem in kept.imported.problems(scaled):
        st.caption(sentence(problem))
    if parts is None:
        st.caption("Type the target batch as per device × accumulation × devices to have it in parts.")
    st.code(new.diff or "Nothing changes.", language="diff", wrap_lines=True)
    for note in new.notes:
        st.caption(sentence(note))
    name = f"scaled-{kept.imported.format}.{SUFFIXES[kept.imported.syntax]}"
    st.download_button("Download the file", lambda: new.text, name, "text/plain", on_click="ignore")


def _read() -> None:
    """Callback of Read: recognise the text or the file; without open questions it goes into the form at once."""
    st.session_state.pop(PROBLEM, None)
    st.session_state.pop(KEPT, None)
    function = st.session_state.get(FUNCTION) if st.session_state.pop(FUNCTIONS, None) else None
    chosen_format = st.session_state.get(FORMAT, BY_ITSELF)
    upload = st.session_state[UPLOAD]
    try:
        if upload is not None and upload.name.lower().endswith(CHECKPOINTS):
            text = _checkpoint(upload)
        elif upload is not None:
            text = upload.getvalue()
        else:
            text = st.session_state[TEXT]
        imported = formats.read(text, upload.name if upload is not None else "",
                                None if chosen_format == BY_ITSELF else chosen_format, function)
    except WhichFunction as error:
        st.session_state[FUNCTIONS] = error.names
        st.session_state[PROBLEM] = f"The file holds several configurations: {', '.join(error.names)}."
        return
    except (FieldError, RuntimeError) as error:
        st.session_state[PROBLEM] = str(error)
        return
    st.session_state[KEPT] = Kept(text if isinstance(text, str) else text.decode(), imported, {})
    if not imported.questions:
        _use()


def _label(key: str) -> str:
    return FORMATS[key].label if key in FORMATS else key


def _checkpoint(upload: UploadedFile) -> str:
    """The parameter groups of a checkpoint, read by a process of its own: this one never loads torch."""
    from ..runner import read_checkpoint  # which loads the store: the first page is there sooner without it

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        path.write_bytes(upload.getbuffer())
        return read_checkpoint(path)


def _ask(imported: Imported) -> None:
    """What the file does not say, and only that."""
    st.markdown(f"**{escaped(imported.label)}.** The file does not say:")
    for question in imported.questions:
        default = "" if question.default is None else str(question.default)
        st.text_input(escaped(question.text), key=f"answer-{question.field}", value=default)
    st.button("Use it", type="primary", on_click=_use)


def _use() -> None:
    """Callback: answers to questions and file together into the form."""
    st.session_state.pop(PROBLEM, None)
    text, imported, _ = st.session_state[KEPT]
    texts = {question.field: st.session_state[f"answer-{question.field}"] for question in imported.questions}
    answers = {name: inputs.parsed(answer) for name, answer in texts.items() if answer.strip()}
    answers |= {question.field: None for question in imported.questions
                if not question.required and texts[question.field].strip() == question.default}
    try:
        config = imported.config(answers)
        parts = imported.parts(answers)
        (target, _), (noise, _) = (inputs.read({name: forms.typed(name)}) for name in ("b1", "noise"))  # no file says these
        given = Inputs(config, target.target_batch if target else config.batch_size, "linear",
                       noise_scale=noise.noise_scale if noise else None)
        forms.fill(given, str(parts or config.batch_size))
    except FieldError as error:
        st.session_state[PROBLEM] = str(error)
        return
    st.session_state[KEPT] = Kept(text, imported, answers)


def _about(imported: Imported) -> None:
    """What was read, what was assumed, what was not read, in that order; then what a user should know."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/description: Read as **{escaped(imported.label)}**")
            st.button("Put aside", on_click=lambda: st.session_state.pop(KEPT, None), key="import aside")
        for title, lines in (("Read from the file", imported.lines), ("Assumed, as the file does not say", imported.assumed),
                                 ("Not read: look whether it matters", imported.unread)):
            if lines:
                st.markdown(f"**{title}**")
                st.caption("\n".join(f"- {sentence(line)}" for line in lines))
        for warning in imported.double_scaling:
            st.warning(sentence(warning), title="Scaled twice")
        for warning in imported.uncovered:
            st.warning(sentence(warning), title="Not covered by the rule")
        for note in imported.notes:
            st.caption(sentence(note))
