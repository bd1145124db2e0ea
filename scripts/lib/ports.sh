# shellcheck shell=bash
# TCP ports on 127.0.0.1.

listening() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the range that the system hands out for outgoing connections.
free_ports() { # COUNT -> that many different ports, one a line
    local port found=" " count=$1
    while [ "$count" -gt 0 ]; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        case $found in *" $port "*) continue ;; esac
        listening "$port" && continue
        found="$found$port "
        count=$((count - 1))
        echo "$port"
    done
}

wait_for_free_port() { # PORT SECONDS: false when it is still taken then
    local tenths=$(($2 * 10))
    while listening "$1"; do
        [ $((tenths--)) -gt 0 ] || return 1
        sleep 0.1
    done
}

wait_for_port() { # PORT SECONDS PROCESS-RECORD: false when the limit or the process ends first
    local tenths=$(($2 * 10))
    until listening "$1"; do
        [ $((tenths--)) -gt 0 ] && recorded_pid "$3" >/dev/null || return 1
        sleep 0.1
    done
}
