# The workflow with the exact versions of constraints.txt, for machines where nothing can be installed.
# docs/cluster.md says how it is run, with Docker and with Apptainer. The CUDA libraries come with torch.
FROM python:3.11.13-slim-bookworm

# procps: Snakemake measures the memory of jobs; git: versions are read from the checkout.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make procps \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/neurocine
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY workflow_scripts workflow_scripts
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -e '.[workflow]'
COPY . .
RUN git config --system --add safe.directory '*'

# Nothing of the person who runs it: neither packages in a home folder nor a home folder that cannot be written.
ENV PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib
CMD ["snakemake", "--help"]
