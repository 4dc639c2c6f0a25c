# Sourced by the scripts beside it: the program under test, a temporary folder, keys, a configuration. Bash.
#
#   SMSBUSD   the program to try; without it, the release is built (minutes the first time)
#   PYTHON    python3 of another version

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d -t smsbusd-third-party.XXXXXX)
background=()
api_token=third-party-token

# Ends what was started here, by its id, and takes the folder away.
clean_up() {
    local status=$? pid tries
    for pid in "${background[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    # At most 15 s for all of them.
    for ((tries = 0; tries < 150; tries++)); do
        kill -0 "${background[@]}" 2>/dev/null || break
        sleep 0.1
    done
    for pid in "${background[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if ((status != 0)) && [[ -n ${KEEP:-} ]]; then
        echo "kept: $scratch" >&2
    else
        rm -rf "$scratch"
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# in_turn COMMAND…: waits for it, but is not deaf to signals meanwhile.
in_turn() {
    "$@" &
    background+=("$!")
    wait "$!"
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null || fail "$1 is needed (Debian: apt-get install $2)"
}

# install_packages PACKAGE… COMMAND: Debian's packages, unless the command, which they bring, is there already.
install_packages() {
    local command=${!#} packages=("${@:1:$#-1}")
    command -v "$command" >/dev/null && return
    ((EUID == 0)) || fail "$command is needed (Debian: apt-get install ${packages[*]})"
    echo "installing ${packages[*]}"
    apt-get update -qq
    # Their services are not started meanwhile: 101 is "forbidden by policy".
    local policy=/usr/sbin/policy-rc.d ours=
    [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin $policy && ours=yes; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null || true
    [[ -z $ours ]] || rm $policy
    need "$command" "${packages[*]}"
}

# Sets smsbusd to the program.
find_smsbusd() {
    if [[ -z ${SMSBUSD:-} ]]; then
        (cd "$repository" && cargo build --release --locked --quiet --bin smsbusd)
        SMSBUSD=${CARGO_TARGET_DIR:-$repository/target}/release/smsbusd
    fi
    smsbusd=$(realpath "$SMSBUSD")
    "$smsbusd" --version >/dev/null || fail "$smsbusd does not run"
}

# venv PACKAGE==VERSION… (or -r FILE): a Python environment in the temporary folder. Sets python.
venv() {
    need "${PYTHON:-python3}" python3-venv
    "${PYTHON:-python3}" -m venv "$scratch/venv"
    python=$scratch/venv/bin/python
    "$python" -m pip --quiet --disable-pip-version-check install "$@"
}

free_port() {
    "${PYTHON:-python3}" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Keys as the daemon wants them, in keys/, and the root apart from them, in root/.
make_keys() {
    local purpose
    mkdir -m 700 "$scratch/keys" "$scratch/root"
    for purpose in ticket short-code msisdn-tag; do
        "$smsbusd" keys generate --directory "$scratch/keys" --purpose "$purpose" >/dev/null
    done
    "$smsbusd" keys generate --directory "$scratch/root" --purpose root --json >"$scratch/root.json"
}

# write_base API_PORT OPERATIONS_PORT: what all configurations share; whoever calls it adds carriers.
write_base() {
    local hash
    hash=$(printf %s "$api_token" | sha256sum | cut -d ' ' -f 1)
    (umask 077 && printf 'secret\n' >"$scratch/password")
    cat >"$scratch/smsbusd.toml" <<END
log = { format = "human", filter = "info" }
store.url = "sqlite://$scratch/smsbusd.db"
keys.directory = "keys"
transit.directory = "$repository/config/examples/transit"
operations.listen = "127.0.0.1:$2"

[api]
listen = "127.0.0.1:$1"
tokens.third-party = { sha256 = "$hash", roles = ["ticketing", "support", "finance", "inspection", "operations"] }
END
}

# write_config SMPP_PORT API_PORT OPERATIONS_PORT: with a carrier over SMPP; a run lays a file of its own over it.
write_config() {
    write_base "$2" "$3"
    cat >>"$scratch/smsbusd.toml" <<END

[carriers.beeline]
short_number = "2505"
prefixes = [705, 706, 771, 776, 777]

[carriers.beeline.smpp]
address = "127.0.0.1:$1"
system_id = "smsbus"
password_file = "password"
charged_at = "delivery"
reconnect_ms_max = 300
tariffs = [{ tlvs = [
    { tag = 0x1401, type = "c_octet_string", value = "BUS_{major}" },
    { tag = 0x1402, type = "reference" },
] }]
statuses.0x450 = { rejected = "insufficient_balance" }
errs.050 = "insufficient_balance"
END
}

# start_simulator: `smsbusd simulate` on free ports (CARRIER_PORT fixes that of its SMSC), with a price for every fare
# of one bus in Almaty; the standard input is the rest of its configuration. Sets smpp and control.
start_simulator() {
    local n
    {
        printf 'smpp_listen = "127.0.0.1:%d"\ncontrol_listen = "127.0.0.1:0"\n' "${CARRIER_PORT:-0}"
        printf 'system_id = "smsbus"\npassword = "secret"\n'
        printf 'message_id = "decimal"\nreceipt_form = "both"\n'
        printf 'delivery_delay_ms = { min = 20, max = 60 }\ncharging.at = "delivery"\n[tariffs]\n'
        for n in 1 2 3 4 5 6 7 8 9; do printf 'BUS_%d = %d\n' $((80 * n)) $((8000 * n)); done
        cat
    } >"$scratch/simulator.toml"
    "$smsbusd" simulate --config "$scratch/simulator.toml" >"$scratch/simulator.json" 2>"$scratch/simulator.log" &
    background+=("$!")
    await "the simulator says where it listens" test -s "$scratch/simulator.json"
    smpp=$(json_field "$scratch/simulator.json" smpp)
    control=$(json_field "$scratch/simulator.json" control)
}

# await WHAT COMMAND…: tries it for AWAIT_SECONDS, or 20.
await() {
    local what=$1 seconds=${AWAIT_SECONDS:-20} tries
    shift
    for ((tries = 0; tries < seconds * 10; tries++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "waited $seconds s in vain until $what"
}

# json_field FILE KEY
json_field() {
    "${PYTHON:-python3}" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"
}
