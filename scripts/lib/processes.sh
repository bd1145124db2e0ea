# shellcheck shell=bash
# Processes by recorded pid. A record holds the pid and its start time, so that a pid which the
# system has given to somebody else meanwhile is never mistaken for ours.

started_at() { # PID -> clock ticks since boot at which it started
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) } # the name before it may hold blanks
    # shellcheck disable=SC2086
    set -- $stat
    [ "$1" != Z ] && echo "${20}"
}

record_process() { # FILE PID
    local since
    since=$(started_at "$2") || return 1
    echo "$2 $since" >"$1"
}

recorded_pid() { # FILE -> pid, when that very process still runs
    local pid since
    [ -s "$1" ] || return 1
    read -r pid since <"$1" || return 1
    [ "$(started_at "$pid")" = "$since" ] && echo "$pid"
}

wait_for_end() { # FILE SECONDS: whether the recorded process is gone within the limit
    local tenths=$(($2 * 10))
    while recorded_pid "$1" >/dev/null; do
        [ $((tenths--)) -gt 0 ] || return 1
        sleep 0.1
    done
}

end_process() { # FILE SECONDS: asks it to end, insists after the limit (0: at once), forgets the record
    local pid
    if pid=$(recorded_pid "$1"); then
        [ "$2" -eq 0 ] || kill -TERM "$pid" 2>/dev/null || true
        if ! wait_for_end "$1" "$2"; then
            kill -KILL "$pid" 2>/dev/null || true
            wait_for_end "$1" 5 || true
        fi
    fi
    rm -f "$1"
}

end_group() { # FILE: the recorded process, and its process group if it leads one; forgets the record
    local pid
    if pid=$(recorded_pid "$1"); then
        kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
        wait_for_end "$1" 3 || true
        kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
        wait_for_end "$1" 3 || true
    fi
    rm -f "$1"
}
