# shellcheck shell=bash
# The services, and where they listen.

# Those with a database and a login on RabbitMQ.
services=(orchestrator order inventory payment notification shipping analytics)
# In the order in which they start.
# shellcheck disable=SC2034
processes=(simulator "${services[@]}")

upper() { # NAME
    printf '%s' "$1" | tr '[:lower:]' '[:upper:]'
}

# <SERVICE>_PORT, or PORT_BASE (8000) and the service's place.
port_of() { # SERVICE
    local own base=${PORT_BASE:-8000}
    own=$(upper "$1")_PORT
    if [ -n "${!own:-}" ]; then
        echo "${!own}"
        return
    fi
    case $1 in
    orchestrator) echo "$base" ;;
    order) echo $((base + 1)) ;;
    inventory) echo $((base + 2)) ;;
    payment) echo $((base + 3)) ;;
    notification) echo $((base + 4)) ;;
    shipping) echo $((base + 5)) ;;
    analytics) echo $((base + 6)) ;;
    simulator) echo $((base + 10)) ;;
    esac
}
