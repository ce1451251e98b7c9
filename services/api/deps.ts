import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import type { OutboxRow } from '../domain/gifts/accept-gifts.ts';
import type { OutboxWriter } from '../domain/outbox.ts';
import type { Keyring } from '../domain/recipients/keyring.ts';
import type { AuthenticateDeps } from '../domain/senders/authenticate.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { ReadinessCheck } from '../runtime/admin-server.ts';
import type { FindKey } from './key-cache.ts';
import type { LedgerCheck } from './ledger-check.ts';
import type { TrustedProxies } from './middleware/client-address.ts';
import type { QueueReport } from './queue-report.ts';
import type { RateLimits } from './rate-limits.ts';

/** Everything that the routes use; `main.ts` makes the real ones, a test its own. */
export type ApiDeps = {
  db: Kysely<Database>;
  /** for requests that only look: they may wait for a locked table, and not all connections with them */
  reads: Kysely<Database>;
  keyring: Keyring;
  findKey: FindKey;
  renewKeyHash: AuthenticateDeps['renewHash'];
  outbox: OutboxWriter;
  /** Publishes rows whose transaction has committed. Returns at once and never throws. */
  publish: (rows: readonly OutboxRow[]) => void;
  rateLimits: RateLimits;
  queues: () => Promise<QueueReport>;
  checkLedger: LedgerCheck;
  logger: Logger;
  metrics: Metrics;
  readiness: Readonly<Record<string, ReadinessCheck>>;
  /** Aborted once a shutdown has begun. */
  stopping: AbortSignal;
  settings: ApiSettings;
};

export type ApiSettings = {
  /** base of claim links, without a slash at its end */
  publicUrl: string;
  /** whose X-Forwarded-For is believed */
  trustProxy: TrustedProxies;
  /** least time between two mails that a sender asks for, per gift */
  resendCooldownSeconds: number;
  /** how often a sender may ask for another mail, per gift */
  resendLimit: number;
};
