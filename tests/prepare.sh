#!/usr/bin/env bash
# Makes sure that a bare Debian machine has what the named step needs; what is there is used as it is.
#   tests/prepare.sh build|test|browser|lint|bench
set -euo pipefail
step=${1:?which step}
cache=${GUANLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guanlan}
mkdir -p "$cache"

say() { printf '\033[2m[prepare]\033[0m %s\n' "$*" >&2; }
need() { # need PROGRAM "what to do"
  command -v "$1" >/dev/null 2>&1 || { printf 'error: %s is missing.\n  hint: %s\n' "$1" "$2" >&2; exit 2; }
}
apt_install() { # apt_install PACKAGE…
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: cannot install ${missing[*]}. hint: as root run: apt-get install ${missing[*]}" >&2; exit 2; }
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq >/dev/null
  # Debian starts a new database server at once; the tests start their own on loopback.
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  "${sudo[@]}" chmod 755 /usr/sbin/policy-rc.d
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 \
    || { tail -20 "$cache/apt.log" >&2; "${sudo[@]}" rm -f /usr/sbin/policy-rc.d; exit 1; }
  "${sudo[@]}" rm -f /usr/sbin/policy-rc.d
}
python_package() { # python_package MARKER REQUIREMENT…
  local marker=$cache/venv/.$1; shift
  [ -e "$marker" ] && return 0
  need python3 "install Python 3.9 or newer: apt-get install python3-venv"
  say "installing $* into $cache/venv"
  [ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv" 2>/dev/null || { apt_install python3-venv; python3 -m venv "$cache/venv"; }
  "$cache/venv/bin/pip" install -q "$@"
  touch "$marker"
}

case $step in
  build)
    need cargo "install Rust 1.95 or newer from https://rustup.rs"
    need cc "install a C compiler: apt-get install build-essential"
    need node "install Node 20 or newer from https://nodejs.org"
    need npm "npm comes with Node: https://nodejs.org"
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge 20 ] || { echo "error: Node $major is too old. hint: install Node 20 or newer" >&2; exit 2; }
    minor=$(cargo --version | sed -E 's/^cargo 1\.([0-9]+).*/\1/')
    [ "$minor" -ge 95 ] || { echo "error: $(cargo --version) is too old. hint: rustup update stable (1.95 or newer)" >&2; exit 2; }
    ;;
  test)
    apt_install postgresql mariadb-server python3-venv openssl
    python_package moto-5.2.5 'moto[s3,server]==5.2.5'
    ;;
  browser)
    command -v chromium >/dev/null || apt_install chromium
    apt_install fonts-noto-cjk
    ;;
  lint)
    cargo deny --version >/dev/null 2>&1 || { say "installing cargo-deny (once)"; CARGO_TARGET_DIR=$cache/tools cargo install --locked --quiet cargo-deny; }
    ;;
  bench)
    apt_install postgresql python3-venv
    python_package duckdb-2-peer 'duckdb>=2,<3' 'pyyaml>=6,<7' pytz
    ;;
  *) echo "error: unknown step $step" >&2; exit 2 ;;
esac
