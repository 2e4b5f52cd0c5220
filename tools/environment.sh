#!/bin/sh
# Make the virtual environment from the lock file: venv, else virtualenv, else uv; each failure says what to install.
set -eu
python=$1
venv=$2
if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv "$venv" 2>/dev/null ||
        { rm -rf "$venv"; "$python" -m virtualenv --quiet "$venv" 2>/dev/null; } ||
        { rm -rf "$venv"; uv venv --quiet --seed --python "$python" "$venv" 2>/dev/null; } ||
        {
            echo "无法创建虚拟环境：请安装 python3-venv、virtualenv 或 uv 之一。" >&2
            echo "Cannot make a virtual environment: install one of python3-venv, virtualenv, uv." >&2
            exit 1
        }
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
