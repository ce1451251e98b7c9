import { startFaultProxy } from './fault-proxy.ts';

/** A statement of an IAM policy that allows something, without conditions. */
export interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: string | string[];
}

export interface GuardedQueue {
  endpoint: string;
  /** What was asked and allowed, as `action queue`. */
  used: ReadonlySet<string>;
  /** What was asked and refused. */
  refused: ReadonlySet<string>;
  stop: () => Promise<void>;
}

/** Everything that these statements allow, as `action queue`. */
export function allowedBy(statements: readonly Statement[]): string[] {
  return statements
    .filter(({ Effect }) => Effect === 'Allow')
    .flatMap(({ Action, Resource }) =>
      [Action]
        .flat()
        .flatMap((action) => [Resource].flat().map((arn) => `${action} ${arn.split(':').at(-1)}`)),
    )
    .sort();
}

/** An SQS endpoint that allows what these statements allow, action by action and queue by queue, and refuses the rest as AWS does. */
export async function guardQueues(upstream: string, statements: readonly Statement[]): Promise<GuardedQueue> {
  const proxy = await startFaultProxy(upstream);
  const allowed = new Set(allowedBy(statements));
  const used = new Set<string>();
  const refused = new Set<string>();
  proxy.inject({
    fault: async (exchange) => {
      const asked = `${actionOf(exchange.operation)} ${queueOf(exchange.body())}`;
      (allowed.has(asked) ? used : refused).add(asked);
      if (allowed.has(asked)) return 'pass-on';
      const type = 'com.amazonaws.sqs#AccessDeniedException';
      exchange.respond(403, { __type: type, message: `not authorized to perform: ${asked}` });
      return undefined;
    },
  });
  return { endpoint: proxy.endpoint, used, refused, stop: proxy.stop };
}

/** A batch needs the permission of what is in it, and has none of its own. */
function actionOf(operation: string): string {
  return `sqs:${operation.replace(/Batch$/, '')}`;
}

function queueOf(body: Record<string, unknown>): string {
  const { QueueUrl, QueueName, SourceArn } = body;
  return (
    String(QueueName ?? QueueUrl ?? SourceArn)
      .split(/[/:]/)
      .at(-1) ?? ''
  );
}
