# The image of Wharf: one program, run by a user of its own.
#
#   docker build -t wharf .
#
# The bases are arguments, for registries and machines that have others. The first one needs Rust, a C
# compiler and make, the second one no shell, only the C library.
ARG BUILD_BASE=rust:1-bookworm
ARG RUN_BASE=debian:bookworm-slim

FROM ${BUILD_BASE} AS build
ARG PROFILE=release
WORKDIR /build
COPY . .
# Cargo keeps what the profile "dev" builds in "debug".
RUN cargo build --locked --profile "$PROFILE" --bin wharf \
 && folder=$(echo "$PROFILE" | sed 's/^dev$/debug/') \
 && install -D "target/$folder/wharf" /image/usr/bin/wharf \
 && mkdir -p /image/var/lib/wharf /image/etc/ssl/certs \
 && (cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ || true)

FROM ${RUN_BASE}
COPY --from=build /image/usr/bin/wharf /usr/bin/wharf
# The authorities of others, for tokens of other issuers and for webhooks.
COPY --from=build /image/etc/ssl/certs /etc/ssl/certs
COPY --from=build --chown=65532:65532 /image/var/lib/wharf /var/lib/wharf
USER 65532:65532
# A container's port is reached from outside of it, so the server asks to be told who may use it:
# -e WHARF__AUTH__ENABLED=true, or anyone: -e WHARF__SERVER__ALLOW_ANONYMOUS=true
ENV WHARF__SERVER__LISTEN=0.0.0.0:5000 WHARF__STORAGE__DATA=/var/lib/wharf
EXPOSE 5000
VOLUME /var/lib/wharf
HEALTHCHECK --interval=10s --timeout=6s CMD ["wharf", "healthcheck"]
ENTRYPOINT ["wharf"]
CMD ["serve"]
