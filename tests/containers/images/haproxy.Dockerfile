# Stands for haproxy: Debian's, to be run by uid 99.
ARG BASE
FROM ${BASE}
# Debian gives its user whichever number is free.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends haproxy >/dev/null \
    && groupmod --gid 99 haproxy && usermod --uid 99 --gid 99 haproxy \
    && ln -s /usr/sbin/haproxy /usr/local/sbin/haproxy \
    && install -d -o 99 -g 99 /var/lib/haproxy /usr/local/etc/haproxy \
    && rm -rf /var/lib/apt/lists/*
USER 99:99
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
