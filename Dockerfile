# An image with the program alone: no shell, no package manager, no root. Built from the repository:
#
#   docker build -t pace .
#   docker run --read-only -p 8080:8080 -v ./pace.toml:/etc/pace/pace.toml:ro pace
#
# The configuration has to listen on 0.0.0.0, and on an address of the container for `[admin]` if probes are to reach it.

FROM rust:1.95-bookworm AS build
RUN rustup target add wasm32-unknown-unknown
WORKDIR /pace
COPY . .
RUN cargo xtask plugins \
 && cargo build --release --locked --package pace \
 && install -D -m 755 target/release/pace /image/usr/bin/pace \
 && install -D -m 644 config/pace.toml /image/etc/pace/pace.toml

# The C library and the roots of the system; the user `nonroot` is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/ /
USER nonroot
# What Docker sends anyway: requests in flight are completed.
STOPSIGNAL SIGTERM
EXPOSE 8080
ENTRYPOINT ["/usr/bin/pace"]
CMD ["run", "--config", "/etc/pace/pace.toml"]
