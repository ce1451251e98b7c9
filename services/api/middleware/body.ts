import { MIMEType } from 'node:util';
import express, { type Request, type RequestHandler } from 'express';
import { Problem } from '../problem.ts';
import { DuplicateKey, parseStrictJson } from './strict-json.ts';
import { readForm } from './url-encoded.ts';

const readBytes = express.raw({ limit: '64kb', type: () => true });

const json = 'application/json';
const form = 'application/x-www-form-urlencoded';

/** Reads a JSON body of at most 64 KiB into `request.body`. */
export const jsonBody: RequestHandler = bodyOf({ [json]: parseStrictJson });

/** Reads JSON, or what a form on a page sends. */
export const jsonOrFormBody: RequestHandler = bodyOf({ [json]: parseStrictJson, [form]: readForm });

const jsonIfRead: RequestHandler = (request, response, next) => {
  const sent = request.body instanceof Uint8Array && request.body.length > 0;
  if (sent) return jsonBody(request, response, next);
  request.body = {};
  return next();
};

/** Reads JSON where nothing needs to be sent: no body and an empty one, of whatever type, are an empty object. */
export const jsonBodyIfAny: readonly RequestHandler[] = [readBytes, jsonIfRead];

function bodyOf(parsers: Readonly<Record<string, (text: string) => unknown>>): RequestHandler {
  const wanted = Object.keys(parsers);
  return (request, response, next) => {
    const type = request.is(wanted);
    const parse = parsers[type || ''];
    if (!parse) throw wrongType(wanted.join(' or '));
    if (!isUtf8(request)) throw new Problem('unsupported_media_type', 'send the body in UTF-8');
    readBytes(request, response, (error?: unknown) => {
      if (error) return next(error);
      const isEmpty = !(request.body instanceof Uint8Array) || request.body.length === 0;
      if (isEmpty && type === json)
        return next(new Problem('malformed_body', 'the body is empty; send JSON'));
      try {
        request.body = parse(decode(request.body));
      } catch (cause) {
        return next(unreadable(cause, type === json ? 'JSON' : 'form data'));
      }
      next();
    });
  };
}

/** Fails on bytes that are no UTF-8: replaced by U+FFFD they would be accepted as a text that nobody wrote. */
function decode(body: unknown): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body instanceof Uint8Array ? body : undefined);
}

function unreadable(cause: unknown, what: string): Problem {
  if (cause instanceof DuplicateKey) {
    const shown = JSON.stringify(cause.key.slice(0, longestShownKey));
    return new Problem('malformed_body', `the body has the key ${shown} twice in one object; send each once`);
  }
  return cause instanceof SyntaxError
    ? new Problem('malformed_body', `the body is not valid ${what}`)
    : new Problem('malformed_body', 'the body is not valid UTF-8');
}

/** A key may be as long as the body. */
const longestShownKey = 100;

function isUtf8(request: Request): boolean {
  try {
    const charset = new MIMEType(request.get('content-type') ?? '').params.get('charset');
    return charset === null || /^utf-?8$/i.test(charset);
  } catch {
    return false;
  }
}

function wrongType(wanted: string): Problem {
  return new Problem('unsupported_media_type', `send Content-Type: ${wanted}`, {
    headers: { Accept: wanted },
  });
}
