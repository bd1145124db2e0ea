# Stand-in for the builder's image: this machine's toolchain (the build context `toolchain`).
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
# Where a proxy signs for the crates' registry, its certificate is among the machine's own.
COPY --from=certificates ca-certificates.crt /etc/ssl/certs/
COPY --from=toolchain bin /usr/local/bin/
COPY --from=toolchain lib /usr/local/lib/
ARG CARGO_BUILD_JOBS=default
ENV CARGO_HOME=/usr/local/cargo CARGO_BUILD_JOBS=$CARGO_BUILD_JOBS
