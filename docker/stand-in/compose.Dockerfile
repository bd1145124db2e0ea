# Where Docker Compose itself is taken from, when the machine has none.
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends docker-compose && rm -rf /var/lib/apt/lists/*
