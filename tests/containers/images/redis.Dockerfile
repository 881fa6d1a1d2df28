# Stands for redis: the server, to be run by uid 999, with its data in /data.
ARG BASE
FROM ${BASE}
RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid 999 --no-create-home --home-dir /data redis \
    && apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends redis-server >/dev/null \
    && install -d -o 999 -g 999 /data \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /data
VOLUME /data
USER 999:999
CMD ["redis-server"]
