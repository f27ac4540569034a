# One small image: the binary, the shipped views, schema, sample data and configuration.
# Mount your own config.yaml, sql/ and schemas/ over /app to run another job.
FROM rust:1.94-slim-bookworm AS build
# The profile `dist` takes 7 GB of memory and about an hour; `--release` and target/release take less.
# make and a C compiler build librdkafka; perl builds OpenSSL for the feature `tls`.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --features tls \
    && cp target/dist/realtime-processor /realtime-processor

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /app realtime
COPY --from=build /realtime-processor /usr/local/bin/realtime-processor
COPY --chown=realtime . /app
WORKDIR /app
USER realtime
# `docker stop` sends SIGTERM: the batch in hand is committed first.
STOPSIGNAL SIGTERM
ENTRYPOINT ["realtime-processor"]
CMD ["run"]
