# One file, four images: gateway, worker (CPU), worker-gpu, trainer.
#
#     docker build --target worker -t anysr-worker .
#
# Packages are exactly those of deploy/requirements (`make lock` renews them), checked by hash.
# There is no "# syntax=" line, so that a build asks no registry but for its base images.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# onnxruntime-gpu of the lock file is built for CUDA 13 and cuDNN 9.
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04


# The one stage with pip: it fills virtual environments that have none.
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=deploy/requirements,target=/requirements \
    python -m venv --without-pip /opt/anysr \
    && pip install --quiet --require-hashes --only-binary :all: -r /requirements/build.txt

FROM build AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /wheel .

# A gateway needs no weights: it reads the catalog alone.
FROM build AS gateway-packages
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=deploy/requirements,target=/requirements \
    pip --python /opt/anysr/bin/python install --quiet --no-deps --require-hashes \
        --only-binary :all: -r /requirements/gateway.txt
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/anysr/bin/python install --quiet --no-cache-dir --no-deps --no-index /wheel/*.whl \
    && find /opt/anysr -path '*/models/artifacts/*' -type f ! -name catalog.json -delete

# The packages' own tests are a twentieth of the image. Of OpenVINO a worker needs what reads graphs
# and runs them on CPUs: not the plugins for GPUs and NPUs, nor what reads and converts the models of
# other frameworks, nor what programs in C++ are built with. Of imagecodecs' coders, and the libraries that
# they alone need, those of scientific data and of formats that it does not read here are left out.
FROM build AS worker-packages
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=deploy/requirements,target=/requirements \
    pip --python /opt/anysr/bin/python install --quiet --no-deps --require-hashes \
        --only-binary :all: -r /requirements/worker.txt \
    && find /opt/anysr -path '*/openvino/libs/*' \
        ! -name 'libopenvino.so.*' ! -name 'libopenvino_*_cpu_plugin.so' \
        ! -name 'libopenvino_ir_frontend.so.*' ! -name 'libopenvino_onnx_frontend.so.*' \
        ! -name 'libtbb*.so.*' ! -name 'libhwloc.so.*' -delete \
    && find /opt/anysr -regextype posix-extended -regex \
        '.*/openvino/(cmake|include|tools|torch|frontend/(jax|onnx|paddle|pytorch|tensorflow))' \
        -prune -exec rm -rf {} + \
    && find /opt/anysr -regextype posix-extended -regex \
        '.*/imagecodecs/_(aec|apng|bcn|bitshuffle|blosc2?|bmp|gif|h5checksum|htj2k|jpeg2k|jpegxr|lerc|lz4f?|lzf|lzham|meshopt|pcodec|pglz|qoi|quantize|rcomp|rgbe|snappy|sperr|spng|sz3|szip|ultrahdr|zfp|zopfli)[.][^/]*' \
        -delete \
    && find /opt/anysr -regextype posix-extended -regex \
        '.*/imagecodecs[.]libs/lib(SPERR|SZ3c|aec|blosc2?|cpcodec|gif|jpegxr|jxrglue|lz4|lzham[a-z]*|meshoptimizer|openjp2|openjph|snappy|sz|uhdr|zfp|zopfli)-[^/]*' \
        -delete \
    && rm /opt/anysr/bin/benchmark_app /opt/anysr/bin/ovc
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/anysr/bin/python install --quiet --no-cache-dir --no-deps --no-index /wheel/*.whl \
    && find /opt/anysr -type d -name tests -prune -exec rm -rf {} +

FROM build AS worker-gpu-packages
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=deploy/requirements,target=/requirements \
    pip --python /opt/anysr/bin/python install --quiet --no-deps --require-hashes \
        --only-binary :all: -r /requirements/worker-gpu.txt
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/anysr/bin/python install --quiet --no-cache-dir --no-deps --no-index /wheel/*.whl \
    && find /opt/anysr -type d -name tests -prune -exec rm -rf {} +

FROM build AS trainer-packages
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=deploy/requirements,target=/requirements \
    pip --python /opt/anysr/bin/python install --quiet --no-deps --require-hashes \
        --only-binary :all: -r /requirements/trainer.txt
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/anysr/bin/python install --quiet --no-cache-dir --no-deps --no-index /wheel/*.whl


# Python without what installs or builds; dpkg's list of packages stays, for scanners read it.
FROM ${PYTHON_IMAGE} AS trimmed
RUN groupadd --gid 10001 anysr \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin --no-log-init anysr \
    && install --directory --owner=10001 --group=10001 /var/cache/anysr /runs \
    && rm -rf \
        /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/2to3* /usr/local/bin/pydoc* \
        /usr/local/bin/wheel /usr/local/bin/python*-config \
        /usr/local/include /usr/local/lib/pkgconfig /usr/local/share/man \
        /usr/local/lib/python3.11/site-packages/* /usr/local/lib/python3.11/config-* \
        /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/idlelib \
        /usr/local/lib/python3.11/lib2to3 /usr/local/lib/python3.11/tkinter \
        /usr/local/lib/python3.11/turtledemo /usr/local/lib/python3.11/test \
        /etc/apt /etc/pip.conf /usr/lib/apt /var/lib/apt /var/cache/apt /var/cache/debconf \
        /usr/bin/apt* /usr/bin/perl* /usr/share/perl* \
        /usr/lib/x86_64-linux-gnu/perl* /usr/lib/aarch64-linux-gnu/perl* \
        /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man \
        /var/log/* /root/.cache /tmp/* \
    && rm -f /usr/bin/dpkg*

# Flat: what was removed above would still lie in a lower layer.
FROM scratch AS python
# hadolint ignore=DL3067
COPY --from=trimmed / /
ENV PATH=/opt/anysr/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["anysr"]


FROM python AS gateway
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="AnySR Serve gateway" \
      org.opencontainers.image.description="HTTP in, job out: the gateway of an image-upscaling service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=gateway-packages /opt/anysr /opt/anysr
ENV ANYSR_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-P", "-m", "cli.health", "live"]
CMD ["gateway"]


FROM python AS worker
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="AnySR Serve worker" \
      org.opencontainers.image.description="Job in, picture out: a worker on OpenVINO, ONNX Runtime and CPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=worker-packages /opt/anysr /opt/anysr
ENV ANYSR_WORKER_METRICS_PORT=9100 \
    ANYSR_CALIBRATION_FOLDER=/var/cache/anysr
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-P", "-m", "cli.health", "worker"]
CMD ["worker"]


FROM ${CUDA_IMAGE} AS worker-gpu
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="AnySR Serve GPU worker" \
      org.opencontainers.image.description="Job in, picture out: a worker on ONNX Runtime and CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=python /usr/local/bin /usr/local/bin
COPY --from=python /usr/local/lib /usr/local/lib
# The libraries that this Python was linked with; Ubuntu keeps only the newest build of each, so
# that a pinned one could not be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libbz2-1.0 libexpat1 libffi8 liblzma5 libsqlite3-0 libssl3 libuuid1 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && ldconfig \
    && groupadd --gid 10001 anysr \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin --no-log-init anysr \
    && install --directory --owner=10001 --group=10001 /var/cache/anysr
COPY --from=worker-gpu-packages /opt/anysr /opt/anysr
ENV PATH=/opt/anysr/bin:${PATH} \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    ANYSR_DEVICE=cuda \
    ANYSR_WORKER_METRICS_PORT=9100 \
    ANYSR_CALIBRATION_FOLDER=/var/cache/anysr
WORKDIR /
USER 10001:10001
EXPOSE 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-P", "-m", "cli.health", "worker"]
ENTRYPOINT ["anysr"]
CMD ["worker"]


FROM python AS trainer
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="AnySR Serve trainer" \
      org.opencontainers.image.description="Trains, evaluates and exports networks, on GPUs or CPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=trainer-packages /opt/anysr /opt/anysr
# For checkpoints: mount a volume here.
WORKDIR /runs
HEALTHCHECK --interval=60s --timeout=5s --retries=3 CMD ["python", "-P", "-m", "cli.health", "trainer"]
CMD ["train", "--help"]
