import type { Logger } from '../observability/logger.ts';
import { inSpan } from '../observability/tracing.ts';
import { formatDuration } from './duration.ts';
import type { PolicyStatus } from './policy-status.ts';
import type { LetterResult } from './run.ts';
import type { RunReport } from './run-report.ts';

/**
 * One wide line per verdict, in a span that continues the trace of its message; one with the counts, for metrics; one
 * for the run.
 * @param verdictLevel `debug` where a table shows the verdicts already
 */
export async function logRun(
  log: Logger,
  report: RunReport,
  status: PolicyStatus,
  verdictLevel: 'info' | 'debug',
): Promise<void> {
  for (const result of report.results) {
    await inSpan(
      `${result.verdict} ${report.queue}`,
      {
        parent: result.letter.traceparent,
        links: [report.traceparent],
        attributes: {
          'messaging.system': 'aws_sqs',
          'messaging.message.id': result.letter.message.messageId,
          'largesse.verdict': result.verdict,
          'largesse.rule': result.rule ?? 'none',
          'largesse.run_id': report.runId,
        },
      },
      () => logVerdict(log, report, result, verdictLevel),
    );
  }
  logAlarms(log, report);
  log.info('reconciler counts', {
    marker: '[METRICS]',
    event: 'reconciler_counts',
    ...runFields(report),
    ...report.counts,
  });
  log.info('reconciler run', {
    event: 'reconciler_run',
    ...runFields(report),
    outcome: report.outcome,
    reasons: report.reasons,
    duration_ms: report.finishedAt.getTime() - report.startedAt.getTime(),
    circuit: report.circuit?.state,
    quarantine_breaker: report.quarantine?.state,
    move_tasks: report.moveTasks,
    stranded_after_seconds: report.sweep?.stuckSeconds,
    stranded_why: report.sweep?.why,
    status,
  });
}

function runFields({ runId, queue, policy, dryRun }: RunReport) {
  return { run_id: runId, queue, policy, dry_run: dryRun };
}

function logVerdict(
  log: Logger,
  report: RunReport,
  { letter, verdict, rule, why, outcome, detail, archive }: LetterResult,
  level: 'info' | 'debug',
): void {
  const write = outcome === 'failed' || detail !== undefined ? log.warn : log[level];
  write('dead letter', {
    event: 'dead_letter',
    ...runFields(report),
    request_id: letter.requestId ?? undefined,
    // Where no spans are exported, the line still names the trace that the message began in.
    trace_id: letter.traceparent?.split('-')[1],
    gift_id: letter.content?.type === 'gift.deliver' ? letter.content.id : undefined,
    message_id: letter.message.messageId,
    receive_count: letter.message.receiveCount,
    message_key: letter.key,
    class: letter.class,
    reason: letter.reason,
    gift_state: letter.giftState,
    age_seconds: Math.round(letter.ageSeconds),
    redrives: letter.redrives,
    verdict,
    rule,
    why,
    outcome,
    detail,
    archived: archive,
  });
}

/** What an alert rule looks for in the log, whether or not anybody reads exit codes. */
function logAlarms(log: Logger, report: RunReport): void {
  const nearExpiry = report.results.filter(({ archive }) => archive);
  if (nearExpiry.length > 0) {
    const soonest = Math.min(
      ...nearExpiry.map(({ letter }) => letter.expiresInSeconds ?? Number.POSITIVE_INFINITY),
    );
    log.error('dead letters are about to be dropped by their queue; their bodies are archived', {
      marker: '[MONITOR]',
      event: 'dead_letters_near_expiry',
      ...runFields(report),
      messages: nearExpiry.length,
      soonest: formatDuration(soonest),
    });
  }
  const { requeued_gifts: gifts, requeued_deliveries: deliveries } = report.counts;
  if (gifts + deliveries > 0) {
    log.warn('messages had vanished; their gifts were queued again', {
      marker: '[MONITOR]',
      event: 'corrected_by_safety_net',
      ...runFields(report),
      gifts,
      deliveries,
    });
  }
  const held = report.counts.held_for_person;
  if (held > 0 || report.quarantine?.state === 'tripped') {
    log.error(
      'dead letters are held for a person: so many died, or so often, that the fault is hardly their own',
      {
        marker: '[MONITOR]',
        event: 'dead_letters_need_person',
        ...runFields(report),
        messages: held,
        quarantine_breaker: report.quarantine?.state,
        since: report.quarantine?.since,
      },
    );
  }
  if (report.circuit?.state === 'open') {
    log.warn('the circuit is open: redriven messages died again', {
      marker: '[MONITOR]',
      event: 'circuit_open',
      ...runFields(report),
      since: report.circuit.since,
    });
  }
}
