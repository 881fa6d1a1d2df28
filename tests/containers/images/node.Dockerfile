# Stands for node: the Node.js of Debian, with npm as npm's own package has it. Debian's npm is some 300 packages.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends nodejs >/dev/null \
    && rm -rf /var/lib/apt/lists/*
# The build context holds what `npm pack npm` has brought.
ADD npm-*.tgz /usr/local/lib/
RUN ln -s ../lib/package/bin/npm-cli.js /usr/local/bin/npm
CMD ["node"]
