import type { ErrorRequestHandler, RequestHandler } from 'express';
import { extendContext } from '../../observability/context.ts';
import type { Logger } from '../../observability/logger.ts';
import { Problem, problemKinds } from '../problem.ts';
import { sendProblem, toProblem } from '../problem-details.ts';
import { loggableBody } from './validate.ts';

/** The edge: every error ends here, is logged here if it is ours, and is told to the caller as a problem. */
export function errorHandler({ logger }: { logger: Logger }): ErrorRequestHandler {
  return (error, request, response, next) => {
    const problem = toProblem(error);
    extendContext({ problem_code: problem.code });
    if (problemKinds[problem.code].status >= 500) {
      logger.error('a request failed', {
        event: 'request_failed',
        error: problem.cause ?? problem,
        request_body: loggableBody(request, response),
      });
    }
    // A half-sent answer can not become a problem any more: Express closes the connection.
    if (response.headersSent) next(error);
    else sendProblem(response, problem);
  };
}

export const notFound: RequestHandler = () => {
  throw new Problem('not_found', 'there is nothing at this path; /docs lists what there is');
};

/** Last on a path that exists: names what it does take. */
export function methodNotAllowed(allowed: string): RequestHandler {
  return () => {
    throw new Problem('method_not_allowed', `this path takes ${allowed}`, { headers: { Allow: allowed } });
  };
}
