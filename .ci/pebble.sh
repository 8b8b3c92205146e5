#!/usr/bin/env bash
# usage: pebble.sh DIR
#
# Puts `pebble` and `pebble-challtestsrv`, the ACME test server, into DIR. Nothing is installed and
# the system's apt configuration is only read: the package is downloaded, checked by apt against the
# archive's signature, and unpacked. Does nothing when DIR holds a working pebble.
#
# The newest suite is tried first, since only Pebble 2.10 offers renewal information, profiles and
# `alreadyReplaced` together; an older one still serves the plain flow, and tests that need more say
# what they miss.
#
# WAXWING_DEBIAN_MIRROR   base address of a Debian mirror; default: the one in the apt sources
set -euo pipefail

say() { printf 'pebble.sh: %s\n' "$*" >&2; }

# Prints the first Debian mirror in the machine's apt sources.
mirror() {
    if [[ -n "${WAXWING_DEBIAN_MIRROR:-}" ]]; then
        printf '%s\n' "$WAXWING_DEBIAN_MIRROR"
        return
    fi
    {
        sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources
        sed -n 's/^deb  *\(\[[^]]*\]  *\)\{0,1\}\([^ ]*\).*/\2/p' \
            /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    } 2>/dev/null | grep -E '/debian/?$' | head -n 1 || true
}

# apt-get that sees one suite of one mirror and keeps all its state in $scratch.
isolated_apt() {
    apt-get -qq \
        -o Dir::Etc::sourcelist="$scratch/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::lists="$scratch/lists" \
        -o Dir::Cache="$scratch/cache" \
        -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Languages=none \
        -o Acquire::Retries=2 \
        "$@"
}

# Downloads the package of the suite $1 from the mirror $2 and unpacks it into $scratch/root.
unpack() {
    local suite=$1 uri=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    rm -rf "$scratch/lists" "$scratch/cache" "$scratch/root" "$scratch"/*.deb
    mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/root"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite" > "$scratch/sources.list"
    isolated_apt update || return 1
    (cd "$scratch" && isolated_apt download pebble) || return 1
    dpkg -x "$scratch"/pebble_*.deb "$scratch/root" || return 1
    "$scratch/root/usr/bin/pebble-challtestsrv" -help > /dev/null 2>&1 \
        || [[ $? -le 2 ]] || return 1
    dpkg-deb -f "$scratch"/pebble_*.deb Version > "$scratch/version"
}

# The whole job: DIR in, binaries out, or a message and status 1.
install_pebble() {
    local dir=$1 uri suite
    if [[ -x "$dir/pebble" && -x "$dir/pebble-challtestsrv" && -s "$dir/version" ]]; then
        say "$dir holds pebble $(cat "$dir/version")"
        return
    fi
    if ! command -v apt-get > /dev/null || ! command -v dpkg > /dev/null; then
        say "this machine has no apt: build Pebble 2.10 with Go, or take its release binary," \
            "put it into $dir and write its version into $dir/version"
        return 1
    fi
    uri=$(mirror)
    if [[ -z "$uri" ]]; then
        say "no Debian mirror in the apt sources: set WAXWING_DEBIAN_MIRROR"
        return 1
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    for suite in forky testing trixie bookworm; do
        if unpack "$suite" "$uri"; then
            mkdir -p "$dir"
            install -m 0755 "$scratch/root/usr/bin/pebble" "$dir/pebble"
            install -m 0755 "$scratch/root/usr/bin/pebble-challtestsrv" "$dir/pebble-challtestsrv"
            install -m 0644 "$scratch/version" "$dir/version"
            say "pebble $(cat "$dir/version") from $suite is in $dir"
            return
        fi
        say "suite $suite gave no pebble that runs here, trying the next"
    done
    say "no suite of $uri gave a pebble that runs here; tests that need it will skip aloud," \
        "or fail where WAXWING_REQUIRE_PEBBLE=1"
    return 1
}

if [[ $# -ne 1 ]]; then
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
install_pebble "$1"
