import { randomUUID } from 'node:crypto';

export interface QueuePair {
  name: string;
  url: string;
  arn: string;
  deadLetterName: string;
  deadLetterUrl: string;
  deadLetterArn: string;
}

export interface QueuePairOptions {
  name?: string;
  visibilityTimeoutSeconds?: number;
  maxReceiveCount?: number;
}

/** Creates a queue and its dead-letter queue at any SQS endpoint, under names that no other test has. */
export async function createQueuePair(
  { endpoint, region }: { endpoint: string; region: string },
  { name = uniqueQueueName(), visibilityTimeoutSeconds = 30, maxReceiveCount = 5 }: QueuePairOptions = {},
): Promise<QueuePair> {
  const arnOf = (queueName: string) => `arn:aws:sqs:${region}:000000000000:${queueName}`;
  const create = async (queueName: string, attributes: Record<string, string>) => {
    const answer = await callSqs({ endpoint, region }, 'CreateQueue', {
      QueueName: queueName,
      Attributes: attributes,
    });
    return String(answer['QueueUrl']);
  };
  const deadLetterName = `${name}-dlq`;
  const deadLetterArn = arnOf(deadLetterName);
  const deadLetterUrl = await create(deadLetterName, { MessageRetentionPeriod: '1209600' });
  const url = await create(name, {
    VisibilityTimeout: String(visibilityTimeoutSeconds),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadLetterArn, maxReceiveCount }),
  });
  return { name, url, arn: arnOf(name), deadLetterName, deadLetterUrl, deadLetterArn };
}

/** One bare request, past our own code and the SDK: what a test arranges does not depend on what it tests. */
export async function callSqs(
  { endpoint, region }: { endpoint: string; region: string },
  operation: string,
  body: object,
): Promise<Record<string, unknown>> {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${operation}`,
      authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${region}/sqs/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${operation}: ${answer.status} ${text}`);
  return JSON.parse(text || '{}') as Record<string, unknown>;
}

/** A name that no other test, file or run uses. */
export function uniqueQueueName(prefix = 'test'): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`;
}
