"""The wheel holds the app: what lies beside the package in a checkout goes into it as ``sqrtscale/_app``."""

from __future__ import annotations

from pathlib import Path

from setuptools.command.build_py import build_py

APP_FILES = ("app.py", "pages/*.py", "static/README.md", ".streamlit/config.toml")


class BuildWithApp(build_py):
    """setuptools' step that gathers the package's files; pyproject.toml names it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the app of a checkout stays where it is
            return
        for path in self._app():
            copy = Path(self.build_lib, "sqrtscale", "_app", path)
            self.mkpath(str(copy.parent))
            self.copy_file(str(path), str(copy))

    def get_source_files(self) -> list[str]:
        """What a source archive must hold for a wheel to be built from it."""
        return [*super().get_source_files(), *map(str, self._app()), "scripts/wheel.py"]

    @staticmethod
    def _app() -> list[Path]:
        return [path for pattern in APP_FILES for path in sorted(Path().glob(pattern))]
