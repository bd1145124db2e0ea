# One image with every binary; the command says which one runs.
FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    names="orchestrator order inventory payment notification shipping analytics simulator sagactl" \
    && CARGO_PROFILE_RELEASE_DEBUG=none cargo build --release --locked $(printf -- ' --package %s' $names) --bins \
    && install -d /out \
    && for name in $names; do install -s "target/release/$name" "/out/$name" || exit 1; done

FROM debian:bookworm-slim
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=builder /out/ /usr/local/bin/
COPY docker/image/ /usr/local/bin/
# Where the simulator keeps its books; a volume mounted there takes on this owner.
RUN install -d -o 10001 -g 10001 /var/lib/saga
USER 10001:10001
ENV HTTP_BIND=0.0.0.0
STOPSIGNAL SIGTERM
CMD ["orchestrator"]
