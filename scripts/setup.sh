# Sourced by app and test: makes .venv, and installs what a requirements file pins when that has changed.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

as_root() {  # run as root, or fail without asking for a password
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() {
    as_root apt-get update -q >&2 && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >&2
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "sqrtscale needs Python 3.11 or newer. Type: sudo apt install python3 python3-venv" >&2
    return 1
}

make_venv() {
    local python package
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        echo "$python cannot make virtual environments: installing $package ..." >&2
        if ! apt_install "$package"; then
            echo "That needs administrator rights. Type: sudo apt install $package" >&2
            return 1
        fi
    fi
    "$python" -m venv --clear .venv
}

install_requirements() {  # install_requirements FILE
    local python=.venv/bin/python stamp=.venv/installed-$1 wanted
    [ -x "$python" ] || make_venv
    wanted=$("$python" --version && pwd && cat requirements*.txt constraints.txt pyproject.toml)
    # What is brought along is pinned as well, also for building: the second name is that of newer versions of pip.
    export PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
    if [ "$wanted" = "$(cat "$stamp" 2>/dev/null)" ]; then return; fi
    # A set-up that was interrupted, or a newer system Python, leaves an environment without pip.
    "$python" -m pip --version >/dev/null 2>&1 || make_venv
    echo "Installing $1 into .venv: some minutes the first time ..." >&2
    "$python" -m pip install --quiet --disable-pip-version-check -r "$1"
    # What cannot be installed with everything that it asks for.
    [ ! -e "${1%.txt}-no-deps.txt" ] || "$python" -m pip install --quiet --disable-pip-version-check --no-deps -r "${1%.txt}-no-deps.txt"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
    echo "$wanted" >"$stamp"
}
