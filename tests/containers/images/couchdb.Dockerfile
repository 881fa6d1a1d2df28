# Stands for CouchDB: the double of the tests (docs/testing-with-couchdb.md), where the image of CouchDB has CouchDB: the same
# entry point, user, folders and .ini files. The compose file runs it as it runs CouchDB.
# The build context holds couchdb/ of tests/node, and node_modules as its package-lock.json has them.
ARG BASE
FROM ${BASE}
RUN groupadd --system --gid 5984 couchdb \
    && useradd --system --uid 5984 --gid 5984 --no-create-home --home-dir /opt/couchdb couchdb \
    && apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends nodejs >/dev/null \
    && install -d -o 5984 -g 5984 /opt/couchdb/data /opt/couchdb/etc/default.d \
    && install -d /opt/couchdb/bin \
    && printf '#!/bin/sh\nexec "$@"\n' >/docker-entrypoint.sh \
    && printf '#!/bin/sh\nexec node /app/couchdb/main.mjs --host 0.0.0.0 --port 5984 --dir /opt/couchdb/data /opt/couchdb/etc/default.d/*.ini\n' >/opt/couchdb/bin/couchdb \
    && chmod +x /docker-entrypoint.sh /opt/couchdb/bin/couchdb \
    && rm -rf /var/lib/apt/lists/*
COPY node_modules /app/node_modules
COPY couchdb /app/couchdb
VOLUME /opt/couchdb/data
USER 5984:5984
EXPOSE 5984
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["/opt/couchdb/bin/couchdb"]
