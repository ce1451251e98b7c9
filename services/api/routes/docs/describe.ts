import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { type ProblemCode, problemKinds } from '../../problem.ts';

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(problemKinds) as [ProblemCode, ...ProblemCode[]]),
    request_id: z.string(),
    retryable: z.boolean().meta({ description: 'Whether the very same request may succeed later' }),
    gift_id: z.string().optional().meta({ description: 'The gift that stands in the way' }),
    errors: z
      .array(
        z.object({
          pointer: z.string().optional().meta({ description: 'JSON Pointer into the body' }),
          parameter: z.string().optional(),
          header: z.string().optional(),
          detail: z.string(),
        }),
      )
      .optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' });

export type OperationDescription = {
  id: string;
  summary: string;
  description?: string;
  tag: string;
  /** roles of which the key needs one; null: no key */
  roles: string | null;
  path?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** the body may be left out */
  bodyOptional?: true;
  /** a body that is taken, and more than once: what the page fills in first */
  example?: unknown;
  /** also as a form on a page */
  form?: boolean;
  /** takes an Idempotency-Key; says when it may be left out, if ever */
  idempotent?: true | { unless: string };
  /** a probe: no limiter stands before it, and that something is missing is an answer of its own */
  probe?: true;
  answers: Record<number, { description: string; schema?: z.ZodType; html?: boolean; location?: boolean }>;
  problems: ProblemCode[];
};

/** An operation of the OpenAPI document, with what all operations have in common. */
export function describe(operation: OperationDescription): ZodOpenApiOperationObject {
  const { path, query, body, bodyOptional = false, idempotent } = operation;
  const header = idempotent && z.object({ 'Idempotency-Key': idempotencyKey(idempotent) });
  return {
    operationId: operation.id,
    summary: operation.summary,
    ...(operation.description ? { description: operation.description } : {}),
    tags: [operation.tag],
    security: operation.roles === null ? [] : [{ apiKey: [] }],
    ...(operation.roles === null ? {} : { 'x-roles': operation.roles }),
    requestParams: { ...(path && { path }), ...(query && { query }), ...(header && { header }) },
    ...(body && { requestBody: { required: !bodyOptional, content: bodyContent(body, operation) } }),
    responses: { ...problems(operation), ...answers(operation) },
  };
}

function idempotencyKey(idempotent: NonNullable<OperationDescription['idempotent']>) {
  const description = 'A new random value per operation, the same one when it is repeated; kept for 30 days';
  // What HTTP carries in a header; blanks at its ends belong to nobody.
  const key = z.string().meta({
    override: {
      minLength: 1,
      maxLength: 255,
      pattern: '^[!-~\\u0080-\\u00ff](?:[\\t -~\\u0080-\\u00ff]*[!-~\\u0080-\\u00ff])?$',
    },
  });
  return idempotent === true
    ? key.meta({ description })
    : key.optional().meta({ description: `${description}. Required unless ${idempotent.unless}` });
}

function bodyContent(schema: z.ZodType, { example, form = false }: OperationDescription) {
  const content = { schema, ...(example === undefined ? {} : { example }) };
  return {
    'application/json': content,
    ...(form ? { 'application/x-www-form-urlencoded': content } : {}),
  };
}

function answers({ answers, idempotent }: OperationDescription): ZodOpenApiResponsesObject {
  const text = { schema: { type: 'string' as const } };
  const described: ZodOpenApiResponsesObject = {};
  for (const [status, { description, schema, html, location }] of Object.entries(answers)) {
    described[status as `${1 | 2 | 3 | 4 | 5}${string}`] = {
      description,
      headers: {
        'X-Request-Id': text,
        ...(location ? { Location: text } : {}),
        ...(idempotent ? { 'Idempotency-Replayed': text } : {}),
      },
      content: {
        ...(schema ? { 'application/json': { schema } } : {}),
        ...(html ? { 'text/html': text } : {}),
      },
    };
  }
  return described;
}

/** One answer per status: several codes may share it. */
function problems(operation: OperationDescription): ZodOpenApiResponsesObject {
  const { problems, roles, idempotent, probe, body } = operation;
  const codes: ProblemCode[] = [
    ...problems,
    ...(roles === null ? [] : (['unauthenticated', 'forbidden'] as const)),
    ...(body
      ? (['malformed_body', 'payload_too_large', 'unsupported_media_type', 'validation_failed'] as const)
      : []),
    ...(idempotent
      ? (['idempotency_key_missing', 'idempotency_key_mismatch', 'idempotency_key_in_progress'] as const)
      : []),
    ...(probe ? [] : (['rate_limited', 'unavailable'] as const)),
    'internal_error',
  ];
  const byStatus = Map.groupBy(new Set(codes), (code) => problemKinds[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${problemKinds[code].title}`).join('; '),
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  );
}
