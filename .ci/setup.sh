# Sourced by quickstart, runtests and the longer test scripts: packages and the build.
# Needs nothing but a Debian with apt and a shell. Safe to run again and again.

build_packages="build-essential autoconf automake libtool pkg-config re2c lemon
libsqlite3-dev sqlite3 liblmdb-dev libcurl4-gnutls-dev libmicrohttpd-dev libgnutls28-dev
check libgmp-dev liblz4-dev libzstd-dev libsnappy-dev libxxhash-dev libyaml-dev libcrypt-dev
libedit-dev"
test_packages="python3 python3-venv iproute2 curl gnutls-bin clang-14 clang-format-14 libclang-rt-14-dev"

say() { printf '%s\n' "$*" >&2; }

# install PACKAGE…: those of them that are missing, by apt, with sudo when we are not root.
install() {
    missing=""
    for package in "$@"; do
        status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
        [ "$status" = "install ok installed" ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing:$missing"
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { say "these packages are missing and there is no sudo: apt-get install$missing"; return 1; }
        as_root=sudo
    fi
    $as_root apt-get update -q >/dev/null
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}

# build DIR [CONFIGURE-OPTION…]: configure the tree in DIR if it is not yet, and make it.
build() {
    dir=$1
    shift
    [ -x configure ] && [ configure -nt configure.ac ] || ./bootstrap >/dev/null 2>&1 || { say "./bootstrap failed; run it to see why"; return 1; }
    mkdir -p "$dir"
    log=$(pwd)/$dir/build.log
    if [ ! -f "$dir/Makefile" ]; then
        (cd "$dir" && ../configure "$@") >"$log" 2>&1 || { tail -20 "$log" >&2; return 1; }
    fi
    make -C "$dir" -j"$(nproc)" >"$log" 2>&1 || { grep -n -m20 -E 'error|Error|undefined|warning:' "$log" >&2; say "the whole story: $log"; return 1; }
}
