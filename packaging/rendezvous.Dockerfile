# A rendezvous server in a container; docs/rendezvous.md says how to run it.
#   docker build -f packaging/rendezvous.Dockerfile -t ecorelay-rendezvous .
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p ecorelay-rendezvous

FROM debian:bookworm-slim
RUN useradd --system --home-dir /var/lib/ecorelay-rendezvous --create-home --shell /usr/sbin/nologin rendezvous
COPY --from=build /source/target/release/ecorelay-rendezvous /usr/local/bin/
USER rendezvous
# The identity is in here: keep it over new containers.
VOLUME /var/lib/ecorelay-rendezvous
EXPOSE 4001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s CMD ["ecorelay-rendezvous", "status"]
ENTRYPOINT ["ecorelay-rendezvous"]
