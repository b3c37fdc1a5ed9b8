FROM python:3.13.15-slim-trixie AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE config.example.yaml ./
COPY deploy/systemd deploy/systemd
COPY docs docs
COPY exporter exporter
RUN python -m venv --without-pip /opt/wechat-miniprogram-exporter
RUN python -m pip --python /opt/wechat-miniprogram-exporter/bin/python install --no-cache-dir --compile .

FROM python:3.13.15-slim-trixie
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="wechat-miniprogram-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the visit figures of WeChat Mini Programs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/wechat-miniprogram-exporter /opt/wechat-miniprogram-exporter
ENV PATH=/opt/wechat-miniprogram-exporter/bin:$PATH
# pip is removed, since nothing is installed later. The first run tests the program and compiles
# what it imports of the standard library, which a read-only root cannot do at every start.
RUN python -m pip uninstall --yes pip \
 && install -d -o 10717 -g 10717 -m 700 /var/lib/wechat-miniprogram-exporter \
 && wechat-miniprogram-exporter --version
ENV PYTHONDONTWRITEBYTECODE=1
# In this directory `check` finds config.yaml by its default path.
WORKDIR /etc/wechat-miniprogram-exporter
USER 10717:10717
VOLUME /var/lib/wechat-miniprogram-exporter
EXPOSE 10717
HEALTHCHECK --interval=30s --timeout=15s --start-period=10s CMD ["wechat-miniprogram-exporter", "healthcheck"]
ENTRYPOINT ["wechat-miniprogram-exporter"]
CMD ["--config.file=/etc/wechat-miniprogram-exporter/config.yaml", "--storage.path=/var/lib/wechat-miniprogram-exporter"]
