import type { Counter, Histogram } from 'prom-client';

const classes = ['transient', 'permanent', 'poison', 'unknown'] as const;
const logRecordsDropped = { sink: ['stream', 'file', 'record'] } as const;

/**
 * What each role counts from its start, at 0. A series that appears with its first event begins at 1: no rate ever sees that event,
 * and the alert that is about it stays silent. What has the name of a queue or pool in it begins where that name is known.
 */
export const COUNTED = {
  api: {
    giftsAccepted: { recipient_type: ['email', 'wallet'] },
    acceptsDropped: { reason: ['gone', 'late'] },
    rateLimited: { limiter: ['ip', 'key', 'claim'] },
    logRecordsDropped,
  },
  consumer: {
    giftsProcessed: {
      outcome: ['delivered', 'in_doubt', 'dead_letter', 'given_up', 'repeat', 'not_due', 'missing', 'poison'],
    },
    giftsFailed: { class: classes },
    giftsRetried: { class: classes },
    giftsDeadLettered: { class: classes },
    mailsSent: { outcome: ['sent', 'in_doubt', 'failed', 'not_begun'] },
    settleRetries: { fault: ['row', 'suspect', 'busy', 'session', 'away', 'foreign'] },
    logRecordsDropped,
  },
} as const;

/** What an objective or an alert asks of a histogram; all of its labels' values would be too many series. */
const OBSERVED = {
  api: {
    httpRequestSeconds: ['202', '500', '503'].map((status) => ({
      method: 'POST',
      route: '/v1/gifts',
      status,
    })),
  },
  consumer: {
    giftProcessingSeconds: ['delivered', 'in_doubt', 'retry', 'dead_letter'].map((outcome) => ({ outcome })),
  },
};

type Counted = { [name: string]: unknown };

export function startAtZero(metrics: Counted, service: string | undefined): void {
  if (service !== 'api' && service !== 'consumer') return;
  for (const [name, labels] of Object.entries<Record<string, readonly string[]>>(COUNTED[service])) {
    for (const [label, values] of Object.entries(labels)) {
      for (const value of values) (metrics[name] as Counter).inc({ [label]: value }, 0);
    }
  }
  for (const [name, all] of Object.entries<readonly Record<string, string>[]>(OBSERVED[service])) {
    for (const labels of all) (metrics[name] as Histogram).zero(labels);
  }
}
