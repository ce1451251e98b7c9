import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { consumerEnv } from '../../../services/consumer/config.ts';
import { inspectQueue, maxReceiveCountFor } from '../../../services/queue/queue-settings.ts';
import { resourcesOf } from '../../support/cloudformation.ts';
import type { Statement } from '../../support/permissions.ts';

const TEMPLATE = 'k8s/eks/aws.yaml';
const values = parse(readFileSync('k8s/eks/values.yaml', 'utf8'));

/** Of a queue, a role, a policy or an identity: what is asked here of any of them. */
type Resource = Record<'QueueName' | 'ServiceAccount' | 'Namespace' | 'RoleArn' | 'ClusterName', string> & {
  MessageRetentionPeriod: number;
  VisibilityTimeout: number;
  RedrivePolicy: { deadLetterTargetArn: string };
  ManagedPolicyArns: string[];
  AssumeRolePolicyDocument: { Statement: { Condition: unknown }[] };
  PolicyDocument: { Statement: Statement[] };
};

function ofStack(parameters: Record<string, string> = {}): (name: string) => Resource {
  const made = stack(parameters);
  return (name) => {
    if (made[name] === undefined) throw new Error(`the stack has no ${name}`);
    return made[name] as Resource;
  };
}

function stack(parameters: Record<string, string> = {}): Record<string, unknown> {
  return resourcesOf(TEMPLATE, { ClusterName: 'test', ...parameters });
}

test('the queues of the stack are as the roles want them', () => {
  const made = ofStack();
  const [Gifts, DeadLetters] = [made('Gifts'), made('DeadLetters')];
  const arn = 'arn:aws:sqs:eu-central-1:000000000000:largesse-gifts-dlq';
  const found = ({ QueueName: name }: Resource, attributes: Record<string, string>) => {
    return { name, url: `https://sqs.example.com/000000000000/${name}`, attributes };
  };
  const deadLetter = found(DeadLetters, {
    QueueArn: arn,
    MessageRetentionPeriod: String(DeadLetters.MessageRetentionPeriod),
  });
  const source = found(Gifts, {
    VisibilityTimeout: String(Gifts.VisibilityTimeout),
    RedrivePolicy: JSON.stringify({ ...Gifts.RedrivePolicy, deadLetterTargetArn: arn }),
  });
  const wanted = {
    name: consumerEnv.shape.GIFTS_QUEUE_NAME.parse(undefined),
    deadLetterName: `${consumerEnv.shape.GIFTS_QUEUE_NAME.parse(undefined)}-dlq`,
    visibilityTimeoutSeconds: consumerEnv.shape.VISIBILITY_TIMEOUT_SECONDS.parse(undefined),
    maxReceiveCount: maxReceiveCountFor(consumerEnv.shape.MAX_RETRY_COUNT.parse(undefined)),
  };
  expect(inspectQueue(wanted, deadLetter, source)).toEqual([]);
  expect([source.name, deadLetter.name]).toEqual([wanted.name, wanted.deadLetterName]);
  expect(Gifts.RedrivePolicy.deadLetterTargetArn).toBe('(DeadLetters.Arn)');
});

test('where the chart makes the queues, the stack makes none, and the migration may', () => {
  const own = Object.keys(stack());
  const chart = Object.keys(stack({ Provision: 'true' }));
  expect(own.filter((name) => !chart.includes(name))).toEqual(['Gifts', 'DeadLetters', 'OnlyEncrypted']);
  expect(chart.filter((name) => !own.includes(name))).toEqual([
    'MigratePolicy',
    'MigrateRole',
    'MigrateIdentity',
  ]);
});

test('each role is one ServiceAccount’s, which the chart makes, and has one policy', () => {
  const made = ofStack({ Provision: 'true' });
  const identities = Object.keys(stack({ Provision: 'true' })).filter((name) => name.endsWith('Identity'));
  const accounts = identities.map((name) => {
    const { ServiceAccount, Namespace, RoleArn, ClusterName } = made(name);
    const role = name.replace('Identity', 'Role');
    expect(RoleArn).toBe(`(${role}.Arn)`);
    expect(made(role).ManagedPolicyArns).toEqual([`(${name.replace('Identity', 'Policy')})`]);
    expect(made(role).AssumeRolePolicyDocument.Statement[0]?.Condition).toEqual({
      StringEquals: {
        'aws:SourceAccount': '000000000000',
        'aws:RequestTag/eks-cluster-name': ClusterName,
        'aws:RequestTag/kubernetes-namespace': Namespace,
        'aws:RequestTag/kubernetes-service-account': ServiceAccount,
      },
    });
    return ServiceAccount;
  });
  const ofTheChart = ['api', 'consumer-gifts', 'migrate', 'reconciler'].map((name) => `largesse-${name}`);
  expect(accounts.toSorted()).toEqual(['external-secrets', 'keda-operator', ...ofTheChart].toSorted());
});

test('without Pod Identity there are the policies alone', () => {
  const types = Object.keys(stack({ PodIdentity: 'false' }));
  expect(types.filter((name) => /(Role|Identity)$/.test(name))).toEqual([]);
  expect(types.filter((name) => name.endsWith('Policy'))).toHaveLength(5);
});

describe('a key of one’s own for the queues', () => {
  test('whoever sends or receives may use it', () => {
    const made = ofStack({ KmsKeyArn: 'arn:key' });
    const statement = {
      Effect: 'Allow',
      Action: ['kms:GenerateDataKey', 'kms:Decrypt'],
      Resource: 'arn:key',
    };
    expect(made('QueueKeyPolicy')).toMatchObject({
      Roles: ['(ApiRole)', '(ConsumerGiftsRole)', '(ReconcilerRole)'],
      PolicyDocument: { Statement: [statement] },
    });
    for (const name of ['Gifts', 'DeadLetters'])
      expect(made(name)).toMatchObject({ KmsMasterKeyId: 'arn:key' });
    expect(ofStack({ KmsKeyArn: 'arn:key', PodIdentity: 'false' })('QueueKeyPolicy')).not.toHaveProperty(
      'Roles',
    );
  });

  test('without one, SQS encrypts with its own', () => {
    expect(stack()).not.toHaveProperty('QueueKeyPolicy');
    for (const name of ['Gifts', 'DeadLetters']) {
      const queue = ofStack()(name);
      expect(queue).toMatchObject({ SqsManagedSseEnabled: true });
      expect(queue).not.toHaveProperty('KmsMasterKeyId');
    }
  });
});

test('every Secret that the values name is made, under its key, and outlives what made it', () => {
  const documents = parseAllDocuments(readFileSync('k8s/eks/external-secrets.yaml', 'utf8')).map((each) =>
    each.toJS(),
  );
  const made = documents.filter(({ kind }) => kind === 'ExternalSecret');
  const keys = Object.fromEntries(
    made.map(({ metadata, spec }) => [
      metadata.name,
      Object.keys(spec.target.template?.data ?? {}).concat(
        spec.target.template ? [] : spec.data.map(({ secretKey }: { secretKey: string }) => secretKey),
      ),
    ]),
  );
  const { database, keyring, mail } = values;
  expect(keys).toEqual({
    [database.existingSecret]: ['url'],
    [keyring.existingSecret]: ['keyring.json'],
    [mail.existingSecret]: ['url'],
  });
  for (const { spec } of made) expect(spec.target.creationPolicy).toBe('Orphan');
});

test('the database’s address trusts the authorities that the values mount', () => {
  const text = readFileSync('k8s/eks/external-secrets.yaml', 'utf8');
  const [mount] = values.extraVolumeMounts;
  expect(text).toContain(`sslmode=verify-full&sslrootcert=${mount.mountPath}/bundle.pem`);
  expect(values.extraVolumes).toEqual([{ name: mount.name, configMap: { name: 'rds-ca' } }]);
});
