/**
 * What starts the page of /docs, as the browser gets it. The page would send no key where none was typed, refuse to send at
 * all where one is required, and use a prefilled one again for another request: so it makes one up for each.
 */
export const startScript = `'use strict';

const header = 'Idempotency-Key';

function withKeysMadeUp(spec) {
  for (const operation of Object.values(spec.paths).flatMap((path) => Object.values(path))) {
    for (const parameter of operation.parameters ?? []) {
      if (parameter.name !== header) continue;
      parameter.required = false;
      parameter.description += '. Left empty on this page, a new one is sent with each request';
    }
  }
  return spec;
}

function withKey(request) {
  const given = Object.keys(request.headers).some((name) => name.toLowerCase() === header.toLowerCase());
  const inBody = String(request.body ?? '').includes('idempotency_key');
  if (request.method === 'POST' && !given && !inBody) request.headers[header] = newKey();
  return request;
}

// Not randomUUID, which browsers keep for https and localhost.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

fetch('/openapi.json')
  .then((response) => (response.ok ? response.json() : Promise.reject(new Error(String(response.status)))))
  .then((spec) =>
    SwaggerUIBundle({
      spec: withKeysMadeUp(spec),
      dom_id: '#docs',
      validatorUrl: null,
      deepLinking: true,
      requestInterceptor: withKey,
    }),
  )
  .catch((error) => {
    document.getElementById('docs').textContent = 'The document could not be loaded: ' + error.message;
  });
`;
