# SPDX-License-Identifier: Apache-2.0
# The worker as an image: built on Debian stable, run on its slim image with the run-time libraries alone, not as root.
#   docker build -t braid .
#   docker run -v braid-state:/var/lib/braid braid run /examples/flights/flights.sql --server nats://HOST:4222
ARG BASE=debian:stable-slim

FROM ${BASE} AS build
WORKDIR /src
COPY tools/setup tools/setup
RUN tools/setup --build
COPY . .
RUN cmake --preset release && cmake --build --preset release --target braid
# What the command needs at run time, by the names that packages have in this release; and the command without symbols.
RUN mkdir -p /out && strip -o /out/braid build/release/braid && \
    ldd /out/braid | sed -n 's/.*=> \([^ ]*\) .*/\1/p' | xargs realpath | \
    while read -r library; do dpkg -S "$library" /usr"$library" 2>/dev/null || true; done | \
    cut -d: -f1 | sort -u >/out/packages

FROM ${BASE}
COPY --from=build /out/packages /tmp/packages
RUN apt-get -q=2 update && \
    DEBIAN_FRONTEND=noninteractive xargs -a /tmp/packages apt-get -q=2 install -y --no-install-recommends && \
    rm -rf /var/lib/apt/lists/* /tmp/packages && \
    groupadd --gid 10001 braid && \
    useradd --no-log-init --uid 10001 --gid braid --home-dir /var/lib/braid --create-home braid
COPY --from=build /out/braid /usr/local/bin/braid
COPY examples /examples
USER braid
WORKDIR /var/lib/braid
VOLUME /var/lib/braid
ENTRYPOINT ["braid"]
CMD ["--help"]
