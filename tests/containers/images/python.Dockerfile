# Stands for python:slim: the Python of Debian, and what makes virtual environments.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null \
    && ln -s python3 /usr/bin/python \
    && rm -rf /var/lib/apt/lists/*
CMD ["python3"]
