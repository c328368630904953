# Two images out of one file: `servers` for MLflow, the Optuna dashboard and init, without torch; `worker` for trials.
# The libraries lie below the code, so that a change of code builds in seconds, and both images share their layer.

FROM python:3.11-slim-bookworm AS libraries
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/app PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HOME=/tmp USER=app NUMBA_CACHE_DIR=/tmp/numba MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1
# Named volumes begin as copies of these folders, owner included. HOME is /tmp because the worker's user may be any.
RUN groupadd --gid 1000 app && useradd --uid 1000 --gid app --home-dir /tmp --no-create-home app \
    && install --directory --owner app --group app /app /app/runs /mlartifacts /mlauth \
    && python3 -m venv /opt/venv
WORKDIR /app
COPY requirements.lock ./
# The lock file is complete, so nothing is resolved: torch, which it leaves out, is not asked for.
RUN pip install --no-deps --require-hashes -r requirements.lock

FROM libraries AS servers
COPY core core
COPY hpo hpo
USER app

FROM libraries AS worker
COPY requirements-torch.lock ./
# As in the Makefile: which build of torch. Empty is the registry's, with CUDA.
ARG TORCH_ARGS=
RUN pip install $TORCH_ARGS -r requirements-torch.lock
# Marks /app, where the worker may not write, as the project.
COPY machine-listening.toml ./
COPY core core
COPY hpo hpo
COPY studies studies
USER app
