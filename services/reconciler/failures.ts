import { explainConnectionProblem } from '../database/connection-problem.ts';
import { explainQueueProblem } from '../queue/connection-problem.ts';
import { NoDeadLetterQueueError } from '../queue/dead-letter-queue.ts';
import { DatabaseNotReadyError } from './database-ready.ts';
import { KubernetesError } from './kubernetes/kubernetes-error.ts';
import { PolicyError } from './policy-document.ts';
import type { RunOutcome } from './run-report.ts';

/** Why there was no run, or half of one: for the log, the exit code and the status of the policy. */
export type Failure = {
  outcome: Extract<RunOutcome, 'again' | 'needs_person'>;
  /** in the log, with `fields` */
  event: string;
  fields: Record<string, unknown>;
  /** one sentence for the person who has set up the reconciler */
  message: string;
  /** in CamelCase, for `status` */
  reason: string;
};

export type Endpoints = { databaseUrl: string; sqsEndpoint: string | undefined };

/** What went wrong, in words; null: nobody foresaw it. Pure. */
export function explainFailure(error: unknown, { databaseUrl, sqsEndpoint }: Endpoints): Failure | null {
  if (error instanceof KubernetesError) return explainKubernetes(error);
  if (error instanceof DatabaseNotReadyError)
    return {
      outcome: 'again',
      event: 'database_not_ready',
      fields: { pending_migrations: error.pending },
      message: error.message,
      reason: 'DatabaseNotReady',
    };
  const ofQueue = explainQueueProblem(error, sqsEndpoint);
  const unreachable = ofQueue ?? explainConnectionProblem(error, databaseUrl);
  if (unreachable !== undefined)
    return {
      outcome: 'again',
      event: 'reconciler_unreachable',
      fields: {},
      message: unreachable,
      reason: ofQueue === undefined ? 'DatabaseUnreachable' : 'QueueUnreachable',
    };
  if (error instanceof PolicyError || error instanceof NoDeadLetterQueueError)
    return {
      outcome: 'needs_person',
      event: 'reconciler_misconfigured',
      fields: { code: error.code },
      message: error.message,
      reason: error instanceof PolicyError ? 'Invalid' : 'NoDeadLetterQueue',
    };
  return null;
}

/** What a person has to do about an answer of the API server that repeating does not change, by its HTTP status. */
const remedies: Readonly<Record<number, string>> = {
  401: 'the API server does not know this account',
  403: 'the account of the reconciler lacks a permission',
  404: 'the API server knows no DeadLetterPolicy: the CustomResourceDefinition deadletterpolicies.largesse.dev is not installed',
};

function explainKubernetes(error: KubernetesError): Failure {
  const remedy = remedies[error.status ?? 0];
  return {
    outcome: error.isPassing ? 'again' : 'needs_person',
    event: error.isPassing ? 'kubernetes_unreachable' : 'kubernetes_refused',
    fields: { status: error.status, reason: error.reason },
    message: remedy === undefined ? error.message : `${remedy}: ${error.message}`,
    reason: 'KubernetesRefused',
  };
}
