# shellcheck shell=bash
# Generated passwords: hexadecimal, so that they need no escaping in a URL, in SQL or in JSON.

generated_password() {
    od -An -N18 -tx1 /dev/urandom | tr -d ' \n'
}

write_private() { # FILE: standard input, readable by its owner alone from the first byte on
    (umask 077 && cat >"$1.new") && mv "$1.new" "$1"
}
