#!/usr/bin/env bash
# Sees to the programs that do not come from PyPI, and installs what is missing where apt can.
#
#   scripts/system-packages.sh tests             what the checks need: chromium, fonts, git, npm, strace
#   scripts/system-packages.sh venv PYTHON       what `PYTHON -m venv` needs
#
# Prints nothing and changes nothing when all is there. Where it cannot install (no apt, or neither
# root nor sudo), it says what to install and exits with 1.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

# Debian's Python comes without ensurepip, which venv needs; it is in a package of its own.
venv_packages() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

tests_packages() {
    has git || echo git
    # Checks the panel's TypeScript. (Installing ipysession brings its own node where there is none.)
    has npm || echo nodejs npm
    # The browser tests use any of these; tests must agree with this list.
    has chromium || has chromium-browser || has google-chrome || echo chromium
    # strace shows what is synced and in which order. It exists on Linux only; elsewhere the tests
    # that need it say so and are skipped.
    if [ "$(uname -s)" = Linux ]; then
        has strace || echo strace
    fi
    # Without any font, a screenshot shows no text and a browser test finds nothing to click on.
    if has dpkg-query; then
        dpkg-query -W -f='${Status}' fonts-dejavu-core 2>/dev/null | grep -q 'ok installed' ||
            echo fonts-dejavu-core
    fi
}

case "${1-}" in
tests) missing=$(tests_packages) ;;
venv) missing=$(venv_packages "${2:?which python}") ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
[ -n "$missing" ] || exit 0
read -r -a packages <<<"${missing//$'\n'/ }"

give_up() {
    echo "Missing: ${packages[*]}" >&2
    echo "$1 Install them with this system's package manager, then run make again." >&2
    exit 1
}

has apt-get || give_up "There is no apt-get here to install them with."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    has sudo || give_up "Installing them needs root, and there is no sudo."
    # Ask for a password only where somebody can type it.
    sudo -n true 2>/dev/null || [ -t 0 ] || give_up "Installing them needs root, and sudo asks for a password."
    as_root=(sudo)
fi

apt() {
    # Another apt may be at work on a machine that has just started: wait for it. Seconds.
    # ${as_root[@]+…}: an empty array counts as unset in older versions of bash.
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

echo "Installing ${packages[*]}" >&2
# A fresh container has no package lists. Old lists may still do when they cannot be updated.
apt update || echo "apt-get update failed; trying with the lists at hand" >&2
apt install --yes --no-install-recommends "${packages[@]}" >/dev/null ||
    give_up "apt-get could not install them."
