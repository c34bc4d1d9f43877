# The worker, and every other command of `strandline`, without root and on a read-only root file system:
# only /tmp and STRANDLINE_HOME are written to.
FROM rust:1.88.0-slim-bookworm AS native
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv=3.11.* \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src/native
COPY native/requirements.lock ./
RUN python3 -m venv /opt/maturin \
 && /opt/maturin/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY native ./
RUN MATURIN_NO_INSTALL_RUST=1 /opt/maturin/bin/maturin build --release --locked --out /wheels

FROM python:3.12.8-slim-bookworm AS build
WORKDIR /src
COPY requirements-worker.lock ./
RUN python -m venv /opt/strandline \
 && /opt/strandline/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements-worker.lock
# amazon_kclpy fetches its jars while it is installed, checks none, and may leave some out.
COPY deploy/kcl-jars.sha256 deploy/check-jars.sh ./
RUN sh check-jars.sh /opt/strandline/lib/python3.12/site-packages/amazon_kclpy/jars kcl-jars.sha256
COPY pyproject.toml README.md LICENSE ./
COPY strandline strandline
COPY cli cli
COPY journal journal
COPY consumer consumer
COPY projections projections
COPY migrations migrations
COPY ledger ledger
COPY console console
COPY docs docs
COPY --from=native /wheels /wheels
RUN /opt/strandline/bin/pip install --no-cache-dir --no-deps . /wheels/*.whl

FROM eclipse-temurin:17.0.13_11-jre-jammy AS java

FROM python:3.12.8-slim-bookworm
COPY --from=java /opt/java/openjdk /opt/java
COPY --from=build /opt/strandline /opt/strandline
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/strandline strandline \
 && install -d -o strandline -g strandline -m 700 /var/lib/strandline
ENV PATH=/opt/strandline/bin:/opt/java/bin:$PATH \
    JAVA_HOME=/opt/java \
    JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=40 \
    PYTHONDONTWRITEBYTECODE=1 \
    STRANDLINE_HOME=/var/lib/strandline \
    STRANDLINE_LISTEN=0.0.0.0:8080
USER 10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["strandline", "worker", "--check"]
ENTRYPOINT ["strandline"]
CMD ["worker"]
