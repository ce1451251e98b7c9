import type { Request, RequestHandler, Response } from 'express';
import type { z } from 'zod';
import { extendContext } from '../../observability/context.ts';
import { redact } from '../../observability/redact.ts';
import { type FieldError, Problem } from '../problem.ts';
import { explainIssue } from './explain-issue.ts';
import { findRefusedText, jsonPointer } from './text.ts';

/** A step of a route that checks one part of the request, and hands the outcome to the steps behind it. */
export type Validator<Schema extends z.ZodType> = RequestHandler & {
  /** for the documentation */
  schema: Schema;
  /** The validated part. Only behind the step itself. */
  of: (response: Response) => z.output<Schema>;
};

/** Checks the body, by characters first and then by schema. */
export function body<Schema extends z.ZodType>(schema: Schema): Validator<Schema> {
  const check = validator(
    schema,
    (request) => request.body,
    (path) => ({ pointer: jsonPointer(path) }),
  );
  const step: RequestHandler = (request, response, next) => {
    response.locals['bodySchema'] = schema;
    return check(request, response, next);
  };
  return Object.assign(step, { schema, of: check.of });
}

/** The body as it may be logged, redacted by the schema of its route; undefined before a `body` step. */
export function loggableBody(request: Request, response: Response): unknown {
  const schema: z.ZodType | undefined = response.locals['bodySchema'];
  return schema && redact(schema, request.body);
}

export function query<Schema extends z.ZodType>(schema: Schema): Validator<Schema> {
  return validator(schema, (request) => ({ ...request.query }), parameter);
}

export function params<Schema extends z.ZodType>(schema: Schema): Validator<Schema> {
  return validator(schema, (request) => ({ ...request.params }), parameter);
}

const parameter: Locate = (path) => ({ parameter: path.join('.') });

/** More help nobody, and a body of 64 KiB holds enough mistakes for an answer of a megabyte. */
const mostTold = 50;

export function invalid(errors: FieldError[]): Problem {
  const [first] = errors;
  const where = first?.pointer ?? first?.parameter ?? first?.header;
  const detail =
    errors.length === 1 && first
      ? `${where ? `${where}:` : 'the body'} ${first.detail}`
      : `${errors.length} ${errors.every(({ parameter }) => parameter !== undefined) ? 'parameters' : 'fields'} are not valid`;
  const more = errors.length > mostTold ? `; the first ${mostTold} are told` : '';
  return new Problem('validation_failed', `${detail}${more}`, { errors: errors.slice(0, mostTold) });
}

type Locate = (path: readonly PropertyKey[]) => Omit<FieldError, 'detail'>;

function validator<Schema extends z.ZodType>(
  schema: Schema,
  read: (request: Request) => unknown,
  locate: Locate,
): Validator<Schema> {
  const key = Symbol('validated');
  const handler: RequestHandler = (request, response, next) => {
    const given = read(request);
    const refused = findRefusedText(given);
    if (refused.length > 0) {
      throw invalid(refused.map(({ path, detail }) => ({ ...locate(path), detail })));
    }
    const result = check(schema, given, locate);
    if (!result.success) throw invalid(onePerPlace(result.error.issues, locate));
    (response.locals as Record<symbol, unknown>)[key] = result.data;
    next();
  };
  const of = (response: Response) => (response.locals as Record<symbol, unknown>)[key] as z.output<Schema>;
  return Object.assign(handler, { schema, of });
}

/** A check that throws has met what it was not made for: the request's fault, and its error may quote the request. */
function check<Schema extends z.ZodType>(schema: Schema, given: unknown, locate: Locate) {
  try {
    return schema.safeParse(given, { error: explainIssue });
  } catch (error) {
    extendContext({ check_threw: error instanceof Error ? error.name : typeof error });
    throw invalid([{ ...locate([]), detail: 'can not be read' }]);
  }
}

/** The narrowest of what is wrong at one place, which stands last: two maxima for one amount help nobody. */
function onePerPlace(issues: readonly z.core.$ZodIssue[], locate: Locate): FieldError[] {
  const errors = issues.flatMap((issue) => toFieldErrors(issue, locate));
  return [...new Map(errors.map((error) => [error.pointer ?? error.parameter, error])).values()];
}

function toFieldErrors(issue: z.core.$ZodIssue, locate: Locate): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const place = locate([...issue.path, key]);
      const what = place.parameter === undefined ? 'field' : 'parameter';
      return { ...place, detail: `is not a ${what} of this request` };
    });
  }
  return [{ ...locate(issue.path), detail: issue.message }];
}
