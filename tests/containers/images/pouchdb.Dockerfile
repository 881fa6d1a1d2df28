# Stands for CouchDB: pouchdb-server, which speaks the same HTTP API, with its databases in /data.
# The build context holds node_modules, as tests/node/package-lock.json has them.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends nodejs >/dev/null \
    && install -d -o 10001 -g 10001 /data \
    && rm -rf /var/lib/apt/lists/*
COPY node_modules /app/node_modules
# It writes its configuration and its log into the working directory.
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 5984
HEALTHCHECK --interval=2s --timeout=2s --retries=15 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:5984/').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/node_modules/pouchdb-server/bin/pouchdb-server"]
CMD ["--host", "0.0.0.0", "--port", "5984", "--dir", "/data", "--no-stdout-logs"]
