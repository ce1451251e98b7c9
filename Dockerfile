# syntax=docker/dockerfile:1
# The image of every role: dist/api.js, dist/consumer.js gifts, dist/reconciler.js, dist/admin.js migrate.
# `npm run image` builds it. A release names its base by digest: --build-arg BASE=node:24-bookworm-slim@sha256:…
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# What is bundled and what bundles it, in the versions and with the hashes of the lock file. The rest of the development dependencies, and
# what install scripts fetch (a Node, a database), is 600 MB that no image needs.
RUN --mount=type=cache,target=/root/.npm \
    node --eval "const all = require('./package.json'); all.devDependencies = { esbuild: all.devDependencies.esbuild }; \
      require('node:fs').writeFileSync('package.json', JSON.stringify(all));" && \
    npm install --ignore-scripts --no-progress
COPY scripts/build.ts scripts/
COPY services services
RUN node scripts/build.ts
COPY LICENSE ./
# What V8 makes of the bundles when it compiles them, so that no start does it again. Node looks for it by the path of the bundle, its own
# version and whoever runs it, and does without when it finds none. --predictable: else no two of these files are the same. 2: a release that
# knows no --help, and was loaded all the same.
RUN mkdir /app && cp -r dist LICENSE package.json /app/ && install --directory --owner=10001 /app/compile-cache
USER 10001:10001
RUN for role in api consumer reconciler admin; do \
      NODE_COMPILE_CACHE=/app/compile-cache node --predictable "/app/dist/$role.js" --help >/dev/null || [ $? -eq 2 ] || exit 1; \
    done
USER root
# All that the image adds to its base, each file with the time of the source: the same source is the same layer.
ARG SOURCE_DATE_EPOCH=0
RUN mkdir /out && cp -r /app /out/ && chmod -R u=rwX,go=rX /out/app && \
    find /out/app -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} + && \
    du --summarize --apparent-size --block-size=1K /out/app | sed 's/^\([0-9]*\).*/above its base: \1 KiB/'

FROM ${BASE}
COPY --from=build /out/app /app
WORKDIR /app
# A number that is nobody: Kubernetes can check that it is not root, and it owns nothing on a node.
USER 10001:10001
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache
# Not the entrypoint of the base, which is a shell script: the process is PID 1, hears its signals and starts no other.
ENTRYPOINT ["/usr/local/bin/node"]
CMD ["dist/api.js"]
EXPOSE 8080 9090
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG BASE
LABEL org.opencontainers.image.title="largesse" \
      org.opencontainers.image.description="Self-hosted platform for gifting vouchers: api, consumers, reconciler, admin" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
