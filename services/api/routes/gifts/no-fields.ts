import type { ErrorRequestHandler, RequestHandler } from 'express';
import { z } from 'zod';
import type { ApiDeps } from '../../deps.ts';
import { jsonBodyIfAny } from '../../middleware/body.ts';
import { earlierAnswerBeforeRefusal } from '../../middleware/earlier-answer.ts';
import { body } from '../../middleware/validate.ts';

/** What is asked stands in the path alone. */
export const noFields = body(z.strictObject({}).meta({ id: 'NoFields' }));

/** Steps that refuse a field, which would be ignored otherwise: whoever sent it believes that it did something. */
export function takesNoFields(deps: ApiDeps): (RequestHandler | ErrorRequestHandler)[] {
  return [...jsonBodyIfAny, noFields, forgetBody, forgetRefusedBody, earlierAnswerBeforeRefusal(deps)];
}

/** No body, an empty one and `{}` are the same request under one Idempotency-Key. */
const forgetBody: RequestHandler = (request, _response, next) => {
  request.body = undefined;
  next();
};

/** Earlier releases looked at no body: what they accepted was accepted without it, and is answered as it was. */
const forgetRefusedBody: ErrorRequestHandler = (error, request, _response, next) => {
  request.body = undefined;
  next(error);
};
