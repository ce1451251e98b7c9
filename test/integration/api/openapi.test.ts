import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { startTestApi, type TestApi } from '../../support/api.ts';

let api: TestApi;
type Body = { content: Record<string, { example?: unknown }> };
type Operation = {
  operationId: string;
  responses: Record<string, { description?: string; content?: object; headers?: object }>;
  security: unknown[];
  parameters?: { in: string; name: string; required?: boolean; description?: string }[];
};
type Schema = {
  type?: string;
  properties?: Record<string, { enum?: string[] }>;
  additionalProperties?: unknown;
};
let document: {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
  };
};
beforeAll(async () => {
  api = await startTestApi();
  document = (await request(api.app).get('/openapi.json')).body;
});
afterAll(() => api.close());

type Layer = { route?: { path: string; stack: { method?: string }[] }; handle?: { stack?: Layer[] } };

/** Every method and path that the app has a route for, in OpenAPI's spelling. */
function registered(layers: Layer[]): string[] {
  return layers.flatMap(({ route, handle }) => {
    if (!route) return registered(handle?.stack ?? []);
    const methods = new Set(route.stack.map(({ method }) => method).filter((method) => method !== undefined));
    return [...methods].map((method) => `${method} ${route.path.replaceAll(/:(\w+)/g, '{$1}')}`);
  });
}

describe('GET /openapi.json', () => {
  test('is OpenAPI 3.1 and describes every route that there is, and no other', () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method} ${path}`),
    );
    const stack = (api.app as unknown as { router: { stack: Layer[] } }).router.stack;
    const assets = ['get /docs/start.js', 'get /favicon.ico'];
    const routes = registered(stack).filter((route) => !assets.includes(route));
    expect(described.toSorted()).toEqual(routes.toSorted());
  });

  test('every operation has an id of its own, an answer, and says how it is refused', () => {
    const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { responses, security } of operations) {
      expect(Object.keys(responses).some((status) => status.startsWith('2'))).toBe(true);
      expect(responses['500']).toBeDefined();
      if (security.length > 0)
        expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '403', '429']));
    }
  });

  test('every reference leads somewhere, and every path parameter is declared', () => {
    const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g);
    for (const [, name] of references) expect(document.components.schemas).toHaveProperty(name ?? '');
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const { parameters = [] } of Object.values(operations)) {
        const declared = parameters.filter((one) => one.in === 'path');
        const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        expect(declared.map(({ name }) => name)).toEqual(named);
      }
    }
  });

  test('the request of a gift is closed: no field but those described', () => {
    const gift = document.components.schemas['GiftRequest'];
    expect(gift?.additionalProperties).toBe(false);
    expect(Object.keys(gift?.properties ?? {})).toEqual([
      'value',
      'recipient',
      'message',
      'sender_name',
      'deliver_at',
      'expires_at',
      'binding',
      'external_id',
      'metadata',
    ]);
  });
});

describe('what an operation says of itself', () => {
  test('the probes answer JSON, also when not ready, and promise no limit that they do not have', () => {
    const ready = document.paths['/readyz']?.['get'];
    const health = document.paths['/healthz']?.['get'];
    expect(Object.keys(ready?.responses['503']?.content ?? {})).toEqual(['application/json']);
    expect(Object.keys(ready?.responses ?? {})).toEqual(['200', '500', '503']);
    expect(Object.keys(health?.responses ?? {})).toEqual(['200', '500']);
  });

  test('Idempotency-Key is required where no request does without it; elsewhere it says when one does', () => {
    const keys = Object.values(document.paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ operationId, parameters = [] }) =>
        parameters
          .filter(({ name }) => name === 'Idempotency-Key')
          .map(({ required = false, description = '' }) => [
            operationId,
            required || description.replace(/^.*\. /, ''),
          ]),
      );
    expect(Object.fromEntries(keys)).toEqual({
      acceptGift: 'Required unless `dry_run=true`',
      cancelGift: true,
      resendGift: true,
      claimGift: 'Required unless the body has an `idempotency_key`',
      createTopup: true,
    });
  });

  test('a claim is refused for a missing key, and never for one that was used elsewhere or is in use', () => {
    const responses = document.paths['/v1/claims']?.['post']?.responses ?? {};
    const codes = JSON.stringify(responses).matchAll(/`(idempotency_\w+)`/g);
    expect([...codes].map(([, code]) => code)).toEqual(['idempotency_key_missing']);
    expect(responses['409']?.description).toContain('`claim_not_ready`');
    expect(responses['201']?.headers).toHaveProperty('Idempotency-Replayed');
  });

  test('the codes of problems are those that some operation may be refused with', () => {
    const codes = document.components.schemas['Problem']?.properties?.['code']?.enum ?? [];
    const described = JSON.stringify(document.paths);
    const everywhere = ['method_not_allowed'];
    expect(codes.filter((code) => !described.includes(`\`${code}\``))).toEqual(everywhere);
  });
});

describe('GET /docs', () => {
  test('200 a page whose scripts and styles come from here alone, and are there', async () => {
    const page = await request(api.app).get('/docs');
    expect([page.status, page.type]).toEqual([200, 'text/html']);
    expect(page.headers['content-security-policy']).toMatch(/script-src 'self'(;|$)/);
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '');
    for (const path of assets) {
      expect(path).toMatch(/^\/(docs|openapi)/);
      expect((await request(api.app).get(path)).status).toBe(200);
    }
  });
});

describe('the script of /docs', () => {
  type Sent = { method: string; headers: Record<string, string>; body?: string };
  type Page = { spec: typeof document; requestInterceptor: (request: Sent) => Sent };

  /** What the script hands to Swagger UI. */
  async function page(): Promise<Page> {
    const script = (await request(api.app).get('/docs/start.js')).text;
    return new Promise((resolve, reject) => {
      const fetch = async (path: string) => {
        const { body } = await request(api.app).get(path);
        return { ok: true, json: async () => body };
      };
      const shown = {
        set textContent(text: string) {
          reject(new Error(text));
        },
      };
      const globals = { fetch, crypto, SwaggerUIBundle: resolve, document: { getElementById: () => shown } };
      runInNewContext(script, { ...globals, Uint8Array });
    });
  }

  test('every POST goes out with a key of its own, unless one was typed', async () => {
    const { spec, requestInterceptor: prepare } = await page();
    const sent = (headers: Record<string, string> = {}, body = '{}') =>
      prepare({ method: 'POST', headers, body }).headers;
    const keys = Array.from({ length: 3 }, () => sent()['Idempotency-Key']);
    expect(new Set(keys).size).toBe(3);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
    expect(sent({ 'Idempotency-Key': 'mine' })).toEqual({ 'Idempotency-Key': 'mine' });
    expect(sent({}, '{"idempotency_key":"mine"}')).toEqual({});
    expect(prepare({ method: 'GET', headers: {} }).headers).toEqual({});
    const parameters = Object.values(spec.paths).flatMap((path) =>
      Object.values(path).flatMap(({ parameters: all = [] }) => all),
    );
    const keyFields = parameters.filter(({ name }) => name === 'Idempotency-Key');
    expect(keyFields).toHaveLength(5);
    for (const field of keyFields) {
      expect(field.required).toBe(false);
      expect(field).not.toHaveProperty('example');
    }
  });

  test('what the page prefills for a gift is accepted, twice', async () => {
    const { spec, requestInterceptor: prepare } = await page();
    const sender = await api.sender();
    const content = (spec.paths['/v1/gifts']?.['post'] as { requestBody?: Body } | undefined)?.requestBody
      ?.content;
    for (let round = 0; round < 2; round += 1) {
      const { headers } = prepare({ method: 'POST', headers: {} });
      const answer = await request(api.app)
        .post('/v1/gifts')
        .set(...sender.auth)
        .set(headers)
        .send(content?.['application/json']?.example as object);
      expect([answer.status, answer.headers['idempotency-replayed']]).toEqual([202, undefined]);
    }
  });
});

describe('GET /', () => {
  test('says where everything is: links for programs, a page for people', async () => {
    const json = await request(api.app).get('/');
    expect([json.status, json.body.links]).toEqual([
      200,
      { docs: '/docs', openapi: '/openapi.json', api: '/v1/gifts', health: '/readyz' },
    ]);
    const html = await request(api.app).get('/').set('Accept', 'text/html,*/*;q=0.8');
    expect([html.status, html.type]).toEqual([200, 'text/html']);
    for (const path of ['/docs', '/openapi.json', '/readyz']) {
      expect(html.text).toContain(`href="${path}"`);
      expect((await request(api.app).get(path)).status).toBe(200);
    }
    expect(html.headers['content-security-policy']).toContain("default-src 'none'");
    expect((await request(api.app).post('/')).status).toBe(405);
  });
});
