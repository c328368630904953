# Two images from one file: `servers` for MLflow, the Optuna dashboard and init, without torch; `worker` for trials.
# The libraries are below the code, so a change of code builds in seconds, and both images share a layer.

FROM python:3.11-slim-bookworm AS libraries
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/app PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HOME=/tmp USER=app NUMBA_CACHE_DIR=/tmp/numba MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1
# Named volumes start as copies of these folders, with their owner. HOME is /tmp because the worker may have any user.
RUN groupadd --gid 1000 app && useradd --uid 1000 --gid app --home-dir /tmp --no-create-home app \
    && install --directory --owner app --group app /app /app/runs /mlartifacts /mlauth \
    && python3 -m venv /opt/venv
WORKDIR /app
COPY requirements.lock ./
# The lock file is complete except for torch, so pip must not resolve dependencies.
RUN pip install --no-deps --require-hashes -r requirements.lock

FROM libraries AS servers
COPY core core
COPY hpo hpo
USER app

FROM libraries AS worker
COPY requirements-torch.lock ./
# The build of torch, as in the Makefile. Empty is the registry's, with CUDA.
ARG TORCH_ARGS=
RUN pip install $TORCH_ARGS -r requirements-torch.lock
# Marks /app, where the worker may not write, as the project.
COPY machine-listening.toml ./
COPY core core
COPY hpo hpo
COPY studies studies
USER app
