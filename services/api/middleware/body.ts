import express, { type RequestHandler } from 'express';
import { Problem } from '../problem.ts';

const limit = '64kb';
const parseJson = express.json({ limit, strict: false });
const parseForm = express.urlencoded({ limit, extended: false, parameterLimit: 20 });

/** Reads a JSON body of at most 64 KiB into `request.body`. */
export const jsonBody: RequestHandler = (request, response, next) => {
  if (!request.is('application/json')) throw wrongType('application/json');
  parseJson(request, response, next);
};

/** Reads JSON, or what a form on a page sends. */
export const jsonOrFormBody: RequestHandler = (request, response, next) => {
  if (request.is('application/json')) parseJson(request, response, next);
  else if (request.is('application/x-www-form-urlencoded')) parseForm(request, response, next);
  else throw wrongType('application/json or application/x-www-form-urlencoded');
};

function wrongType(wanted: string): Problem {
  return new Problem('unsupported_media_type', `send Content-Type: ${wanted}`, {
    headers: { Accept: wanted },
  });
}
